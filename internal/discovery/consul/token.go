package consul

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/hashicorp/consul/api"
)

const tokenHeader = "X-Consul-Token" //nolint:gosec // It is the name of a header.

// tokenTransport adds the ACL token to requests, in place of any other token. It reads a token file
// for each request: that takes microseconds, no longer than a check whether the file has changed.
type tokenTransport struct {
	file  string // empty if the token does not come from a file
	token string // empty for none
	base  http.RoundTripper
}

// newTokenTransport returns a transport with the token in a file, or in the environment if no file
// is given. It returns an error if the token cannot be read or is malformed.
func newTokenTransport(file string, base http.RoundTripper) (tokenTransport, error) {
	t := tokenTransport{file: file, base: base}
	var err error
	if file == "" {
		t.token, err = cleanToken(os.Getenv(api.HTTPTokenEnvName), api.HTTPTokenEnvName)
	} else {
		_, err = readToken(file)
	}
	return t, err
}

// RoundTrip implements [http.RoundTripper].
func (t tokenTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	token := t.token
	if t.file != "" {
		var err error
		if token, err = readToken(t.file); err != nil {
			return nil, err
		}
	}
	request = request.Clone(request.Context())
	if token == "" {
		request.Header.Del(tokenHeader)
	} else {
		request.Header.Set(tokenHeader, token)
	}
	return t.base.RoundTrip(request)
}

// errToken means that there is no usable token.
var errToken = errors.New("no ACL token")

func readToken(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // The user names the file.
	if err != nil {
		return "", fmt.Errorf("%w: %w", errToken, err)
	}
	token, err := cleanToken(string(text), file)
	if err == nil && token == "" {
		return "", fmt.Errorf("%w: %s is empty", errToken, file)
	}
	return token, err
}

// cleanToken returns a token without the white space around it. A token is sent in a header, so it
// must not have control characters.
func cleanToken(text, from string) (string, error) {
	token := strings.TrimSpace(text)
	for _, b := range []byte(token) {
		if b < ' ' || b == 0x7f {
			return "", fmt.Errorf("%w: %s has a control character in the middle, such as a line break: write only the token", errToken, from)
		}
	}
	return token, nil
}

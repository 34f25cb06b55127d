package consul

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// tokenTransport sends the token that is in a file at the time of each request. Reading a file takes microseconds; noticing
// that it changed would take as long.
type tokenTransport struct {
	file string
	base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t tokenTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := readToken(t.file)
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set("X-Consul-Token", token)
	return t.base.RoundTrip(request)
}

// errToken is that there is no token in the file.
var errToken = errors.New("no ACL token")

func readToken(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // The user names the file.
	if err != nil {
		return "", fmt.Errorf("%w: %w", errToken, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%w: %s is empty", errToken, file)
	}
	return token, nil
}

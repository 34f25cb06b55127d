package security

import (
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// maxToken bounds a token, in bytes. Servers accept headers of 8 KiB besides the program's own.
const maxToken = 6 << 10

// tokenFile is a file with a token, and the token that was last read from it.
type tokenFile struct {
	file    file
	log     *slog.Logger
	current atomic.Pointer[string]
	fault   fault // only look uses it
}

func openToken(path, origin string, log *slog.Logger) (*tokenFile, error) {
	t := &tokenFile{file: file{path, origin}, log: log}
	token, err := t.read()
	if err != nil {
		return nil, err
	}
	t.current.Store(&token)
	return t, nil
}

// read returns the token in the file.
func (t *tokenFile) read() (string, error) {
	text, err := t.file.read()
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		return "", failure.Invalid("%s: %q is empty: write the token into it", t.file.origin, t.file.path)
	case len(token) > maxToken:
		return "", failure.Invalid("%s: %q has %d bytes, and a token may have %d: is it the right file?", t.file.origin, t.file.path, len(token), maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", failure.Invalid("%s: %q is not a bearer token: it must have only visible ASCII characters, in one line", t.file.origin, t.file.path)
	}
	return token, nil
}

// look reads the file again. If the file is broken, the previous token stays in use.
func (t *tokenFile) look() {
	token, err := t.read()
	if t.fault.note(t.log, err) && token != *t.current.Load() {
		t.current.Store(&token)
		t.log.Info("the token was read again", "file", t.file.path)
	}
}

// Token returns a function that returns the current bearer token. It returns nil if clients send no
// token.
func (t *Trust) Token() func() string {
	if t.token == nil {
		return nil
	}
	return func() string { return *t.token.current.Load() }
}

// checkTokens returns an error if clients would send no tokens to a server at an address, because
// it is plaintext.
func (t *Trust) checkTokens(address string) error {
	if t.config.Tokens == nil || t.Secure() || strings.HasPrefix(address, "unix:") {
		return nil
	}
	return failure.Invalid("clients send tokens over TLS and Unix sockets only, and %q has no TLS: "+
		"set trust.Config.Cert and trust.Config.Key beside Tokens, or listen on a Unix socket", address)
}

package oslorpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// issuer verifies tokens, which are just names, and records them.
type issuer struct {
	mu   sync.Mutex
	seen []string
}

// Verify implements [trust.Verifier].
func (i *issuer) Verify(_ context.Context, token string) (subject string, expires time.Time, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen = append(i.seen, token)
	if !strings.HasPrefix(token, "token-of-") {
		return "", time.Time{}, errors.New("it is forged")
	}
	return "issuer/" + strings.TrimPrefix(token, "token-of-"), time.Time{}, nil
}

// tokens returns the tokens that were verified.
func (i *issuer) tokens() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen
}

// tokenFile returns a file with a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// identities are the names that the callers of a server proved.
type identities struct {
	mu   sync.Mutex
	last string
}

func (i *identities) note(ctx context.Context, m *rpc.Message) (context.Context, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last = m.Peer.Identity.String()
	return ctx, nil
}

func (i *identities) get() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}

// A token is never sent without TLS, and neither is the message that would carry it.
func TestTokenInClear(t *testing.T) {
	s, i, a := serveSecure(t)
	sender := open(t, oslorpc.WithTrust(trust.Config{TokenFile: tokenFile(t, "token-of-ann")}))
	expectUntrusted(t, sender, "in clear")
	instance, _ := s.Instance()
	for what, err := range map[string]error{"ping": second(sender.Ping(t.Context(), instance)), "info": second(sender.Info(t.Context(), instance))} {
		if oslorpc.KindOf(err) != oslorpc.Untrusted || !oslorpc.SafeToRetry(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if i.count() != 0 || a.casts.Load() != 0 {
		t.Error("a message arrived")
	}
}

// An impostor does not receive the token.
func TestTokenForAnImpostor(t *testing.T) {
	authority := tlstest.New(t)
	config := authority.Issue(tlstest.Subject{URIs: []string{asPrinter}}).Mutual()
	config.ClientAuth = tls.VerifyClientCertIfGiven
	issuer := &issuer{}
	serveSecure(t, oslorpc.WithTrust(trust.Config{TLS: config, Tokens: issuer}))
	client := &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS13}
	sender := open(t, oslorpc.WithTrust(trust.Config{TLS: client, Identity: template, TokenFile: tokenFile(t, "token-of-ann")}))
	expectUntrusted(t, sender, "must prove "+asInventory)
	if got := issuer.tokens(); len(got) > 0 {
		t.Errorf("it got %q", got)
	}
}

// The token is read again when its file changes. If the file is broken, the old token is kept.
func TestTokenIsReadAgain(t *testing.T) {
	authority := tlstest.New(t)
	seen := &identities{}
	files := authority.Local("localhost").Write(t.TempDir())
	files.Tokens = &issuer{}
	server := open(t, oslorpc.WithTrust(files), oslorpc.WithInterceptors(oslorpc.Interceptor{Accept: seen.note})).
		Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	server.Add(newAgent("node1").endpoint("1.0"))
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := tokenFile(t, "token-of-ann")
	client := open(t, oslorpc.WithTrust(trust.Config{CA: files.CA, TokenFile: path})).Client(oslorpc.Target{Topic: "agents", Version: "1.0"})
	use := func(name string) {
		t.Helper()
		for late := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			_, err := oslorpc.Call[string](t.Context(), client, "whoami", nil)
			if err == nil && seen.get() == name {
				return
			}
			if time.Now().After(late) {
				t.Fatalf("it was sent as %s, with the error %v", seen.get(), err)
			}
		}
	}
	use("token:issuer/ann")
	authority.Replace(path, nil)
	time.Sleep(1500 * time.Millisecond) // the file is read
	use("token:issuer/ann")
	authority.Replace(path, []byte("token-of-bob"))
	use("token:issuer/bob")
	authority.Replace(path, []byte("forged"))
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := oslorpc.Call[string](t.Context(), client, "whoami", nil)
		if err != nil {
			wantKind(t, err, oslorpc.AccessDenied, true)
			wantText(t, err, "does not accept the token")
			return
		}
		if time.Now().After(late) {
			t.Fatal("a forged token is accepted")
		}
	}
}

// Servers without TLS cannot verify tokens, except on Unix sockets.
func TestTokensNeedTLS(t *testing.T) {
	start := func(listen string, c trust.Config) error {
		s := open(t, oslorpc.WithListen(listen), oslorpc.WithTrust(c)).Server(oslorpc.Target{Topic: "agents", Server: "node1"})
		s.Add(newAgent("node1").endpoint("1.0"))
		return s.Start(t.Context())
	}
	for _, listen := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0"} {
		err := start(listen, trust.Config{Tokens: &issuer{}, Plaintext: true})
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, "tokens", "TLS")
	}
	dir, err := os.MkdirTemp("", "token") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	issuer := &issuer{}
	if err := start("unix:"+filepath.Join(dir, "s"), trust.Config{Tokens: issuer}); err != nil {
		t.Fatal(err)
	}
	client := open(t, oslorpc.WithTrust(trust.Config{TokenFile: tokenFile(t, "token-of-ann")})).Client(oslorpc.Target{Topic: "agents", Version: "1.0"})
	if _, err := oslorpc.Call[string](t.Context(), client, "whoami", nil); err != nil || len(issuer.tokens()) != 1 {
		t.Errorf("%d tokens were seen: %v", len(issuer.tokens()), err)
	}
}

// If a file contains no token, Open returns an error that names the file.
func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	for says, path := range map[string]string{
		"there is no file": filepath.Join(dir, "none"), "is a directory": dir, "is empty": tokenFile(t, " "), "is not a bearer token": tokenFile(t, "a b"),
		"may have": tokenFile(t, strings.Repeat("x", 10<<10)),
	} {
		_, err := oslorpc.Open("memory://x", oslorpc.WithTrust(trust.Config{TokenFile: path}))
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, "trust.Config.TokenFile", says, path)
	}
	t.Setenv(trust.TokenFileVariable, dir)
	_, err := oslorpc.Open("memory://x")
	wantText(t, err, trust.TokenFileVariable, dir)
}

package httpfront_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// verifier accepts the token "good".
type verifier struct{}

func (verifier) Verify(_ context.Context, token string) (subject string, expires time.Time, err error) {
	if token != "good" {
		return "", time.Time{}, errors.New("it is forged")
	}
	return "issuer/alice", time.Time{}, nil
}

// secured serves the front of a fleet with TLS, and returns its address.
func (f *fleet) secured(t *testing.T, config trust.Config) (url string, server *httpfront.Server) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	secured, err := security.Open(security.Text{Config: config, Variable: func(string) string { return "" }}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secured.Close)
	f.identify = httpfront.Proofs(secured, inbound.NewTokens(config.Tokens, log))
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := secured.Listener(plain, "h2", "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	server = f.handler.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return "https://" + plain.Addr().String(), server
}

// TestProofs checks that a policy sees the names that a certificate or a token proves.
func TestProofs(t *testing.T) {
	t.Parallel()
	authority := tlstest.New(t)
	dir := t.TempDir()
	config := authority.Local().Write(dir)
	config.Tokens = verifier{}
	var f *fleet
	policy := &trust.Policy{Rules: []trust.Rule{{From: []string{"spiffe://cloud/agent"}}, {From: []string{"token:issuer/alice"}}}}
	f = newGuardedFleet(t, []string{"a"}, policy, func(c *httpfront.Config) {
		c.Identify = func(r *http.Request) (rpc.Identity, error) { return f.identify(r) }
	})
	url, _ := f.secured(t, config)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	agent := authority.Issue(tlstest.Subject{URIs: []string{"spiffe://cloud/agent"}}).TLS()
	other := authority.Issue(tlstest.Subject{URIs: []string{"spiffe://cloud/other"}}).TLS()
	foreign := tlstest.New(t).Issue(tlstest.Subject{URIs: []string{"spiffe://cloud/agent"}}).TLS()
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		token       string
		status      int
		body        string
	}{
		"a certificate":               {&agent, "", 200, `"a"`},
		"a certificate without right": {&other, "", 403, "AccessDenied"},
		"a token":                     {nil, "good", 200, `"a"`},
		"a forged token":              {nil, "bad", 401, "does not accept the token"},
		"nothing":                     {nil, "", 401, "requires a token or a certificate"},
		"a foreign certificate":       {&foreign, "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			if c.certificate != nil {
				transport.TLSClientConfig.Certificates = []tls.Certificate{*c.certificate}
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/call/volumes/whoami", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			response, err := (&http.Client{Transport: transport}).Do(r)
			if err != nil {
				if c.status != 0 {
					t.Error(err)
				}
				return
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != c.status || !strings.Contains(string(body), c.body) || response.ProtoMajor != 2 {
				t.Errorf("got HTTP/%d %d %s %v", response.ProtoMajor, response.StatusCode, body, err)
			}
		})
	}
}

// TestShutdown checks that outstanding requests are answered before the server is gone.
func TestShutdown(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.http = "http://" + l.Addr().String()
	server := f.handler.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	done := make(chan answer)
	go func() { done <- f.post(t, "/v1/call/volumes/hang?timeout=1s", "") }()
	<-f.running
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-done; got.status != 504 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestShutdownThatTakesTooLong checks that remaining requests are canceled.
func TestShutdownThatTakesTooLong(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := f.handler.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	ended := make(chan error)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+"/v1/call/volumes/hang", http.NoBody)
		if err != nil {
			ended <- err
			return
		}
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	<-f.running
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-f.canceled
	if err := <-ended; err == nil {
		t.Error("the client had an answer")
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

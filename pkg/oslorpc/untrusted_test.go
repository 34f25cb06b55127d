package oslorpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// distrust is a pair of programs that do not trust each other until one of them is fixed.
type distrust struct {
	server, client credentials.TransportCredentials
	wants          string // what the client says
	logs           string // what the server says
}

func distrusts(t *testing.T) map[string]distrust {
	ours, others := tlstest.New(t), tlstest.New(t)
	valid := func(from, to time.Duration) *tls.Config {
		return ours.Issue(tlstest.Subject{
			IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
		}).Mutual()
	}
	changed := func(change func(*tls.Config)) *tls.Config {
		c := ours.Mutual("localhost")
		change(c)
		return c
	}
	with := credentials.NewTLS
	good, early, late := ours.Mutual("localhost"), valid(time.Hour, 2*time.Hour), valid(-2*time.Hour, -time.Hour)
	return map[string]distrust{
		"no client certificate": {
			with(good), with(changed(func(c *tls.Config) { c.Certificates = nil })),
			"requires a certificate of its clients, and this client has none: check cert and key (--cert, --key,", "it has none",
		},
		"no client certificate, TLS 1.2": {
			with(changed(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 })),
			with(changed(func(c *tls.Config) { c.MinVersion, c.Certificates = tls.VersionTLS12, nil })),
			"requires a certificate of its clients: check cert and key", "it has none",
		},
		"a client certificate of another authority": {
			with(good), with(changed(func(c *tls.Config) {
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &others.Mutual("localhost").Certificates[0], nil
				}
			})),
			"does not trust the authority that signed the certificate of this client: check cert", "the ca of this server",
		},
		"an expired client certificate":      {with(good), with(late), "the certificate of this client expired", "the clocks of both hosts"},
		"a client certificate that is early": {with(good), with(early), "the certificate of this client expired, or is not valid yet", "the clocks of both hosts"},
		"a server certificate of another authority": {
			with(good), with(changed(func(c *tls.Config) { c.RootCAs = others.Pool })), "that no trusted authority signed", "the client refused this server",
		},
		"an expired server certificate":      {with(late), with(good), "has a certificate that expired at ", "the client refused this server"},
		"a server certificate that is early": {with(early), with(good), "has a certificate that is not valid before ", "the client refused this server"},
		"another name": {
			with(good), with(changed(func(c *tls.Config) { c.ServerName = "db.example" })),
			`has a certificate for "localhost", 127.0.0.1, ::1, and "db.example" is expected: check server-name`, "the client refused this server",
		},
		"no common version": {
			with(good), with(changed(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 })),
			"does not speak the versions of TLS that this client allows", "its version of TLS",
		},
		"a client in plaintext": {with(good), insecure.NewCredentials(), "requires TLS, and this client connects in plaintext: check ca", "the client connects in plaintext"},
		"a server in plaintext": {nil, with(good), "does not speak TLS, and this client requires it", ""},
	}
}

// TestUntrusted checks that nothing is sent, and that each message fails at once and not at its
// deadline. The server reports why, and the client recovers when the other end is fixed.
func TestUntrusted(t *testing.T) {
	for name, d := range distrusts(t) {
		t.Run(name, func(t *testing.T) {
			log := &lines{}
			options := []oslorpc.TransportOption{oslorpc.WithLogger(slog.New(slog.NewTextHandler(log, nil)))}
			if d.server != nil {
				options = append(options, oslorpc.WithTrust(trust.Config{Credentials: d.server}))
			}
			s, i, a := serveSecure(t, options...)
			sender := open(t, oslorpc.WithTrust(trust.Config{Credentials: d.client}))
			expectUntrusted(t, sender, d.wants)
			instance, _ := s.Instance()
			for what, err := range map[string]error{"ping": second(sender.Ping(t.Context(), instance)), "info": second(sender.Info(t.Context(), instance))} {
				if oslorpc.KindOf(err) != oslorpc.Untrusted || !oslorpc.SafeToRetry(err) || !strings.Contains(err.Error(), d.wants) ||
					errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if i.count() != 0 || a.casts.Load() != 0 {
				t.Errorf("%d typed messages and %d casts arrived", i.count(), a.casts.Load())
			}
			for late := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), d.logs) && time.Now().Before(late); {
				time.Sleep(time.Millisecond)
			}
			if got := log.String(); !strings.Contains(got, d.logs) || d.logs != "" && strings.Count(got, "failed the TLS handshake") != 1 {
				t.Errorf("the server logged %s", got)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// expectUntrusted sends every delivery. None waits for its deadline.
func expectUntrusted(t *testing.T, sender *oslorpc.Transport, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	check := func(delivery string, err error) {
		if oslorpc.KindOf(err) != oslorpc.Untrusted || !oslorpc.SafeToRetry(err) || !oslorpc.IsNotDelivered(err) || !strings.Contains(err.Error(), want) ||
			errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", delivery, err)
		}
	}
	for delivery, send := range everyDelivery(ctx, sender) {
		if delivery != "fanout" {
			all.Go(func() { check(delivery, send()) })
		}
	}
	all.Go(func() {
		report, err := sender.Client(oslorpc.Target{Topic: "inventory"}).Fanout(ctx, "note", nil)
		if err != nil || len(report.Failed) != 1 {
			t.Errorf("fanout: %+v, %v", report, err)
			return
		}
		check("fanout", report.Failed[0].Err)
	})
	all.Wait()
}

// lines is a log. It is safe for concurrent use.
type lines struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(b)
}

// String returns what was logged.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// TestUntrustedIsLeftOut checks that messages go to the trusted servers, and that a fanout reports
// the others.
func TestUntrustedIsLeftOut(t *testing.T) {
	ours, others := tlstest.New(t), tlstest.New(t)
	url := "local://" + t.TempDir() + "/d"
	serve := func(name string, authority *tlstest.Authority) {
		a := newAgent(name)
		transport, err := oslorpc.Open(url, withTLS(authority.Mutual("localhost")), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = transport.Close() })
		s := transport.Server(oslorpc.Target{Topic: "agents", Server: name})
		s.Add(a.endpoint("1.0"))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	serve("good", ours)
	serve("bad", others)
	client, err := oslorpc.Open(url, withTLS(ours.Mutual("localhost")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c := client.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(time.Minute))
	for range 20 {
		if name, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil || name != "good" {
			t.Errorf("got %q, %v", name, err)
		}
	}
	report, err := c.Fanout(t.Context(), "note", nil)
	if err != nil || len(report.Accepted) != 1 || len(report.Failed) != 1 || oslorpc.KindOf(report.Failed[0].Err) != oslorpc.Untrusted {
		t.Errorf("the report is %+v, %v", report, err)
	}
}

// TestMendedServerIsTrusted checks that a server is trusted soon after it restarts at its address
// with another certificate.
func TestMendedServerIsTrusted(t *testing.T) {
	ours, others := tlstest.New(t), tlstest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	url := "static://agents/node1=" + addr
	start := func(authority *tlstest.Authority) *oslorpc.Transport {
		transport, err := oslorpc.Open("memory://", withTLS(authority.Mutual("localhost")), oslorpc.WithListen(addr), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
		s.Add(newAgent("node1").endpoint("1.0"))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return transport
	}
	bad := start(others)
	sender, err := oslorpc.Open(url, withTLS(ours.Mutual("localhost")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sender.Close() })
	c := sender.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(time.Minute))
	for range 20 { // its connection backs off
		if err := c.Cast(t.Context(), "note", nil); oslorpc.KindOf(err) != oslorpc.Untrusted {
			t.Fatal(err)
		}
	}
	_ = bad.Close()
	t.Cleanup(func(t *oslorpc.Transport) func() { return func() { _ = t.Close() } }(start(ours)))
	begin := time.Now()
	for err := c.Cast(t.Context(), "note", nil); err != nil; err = c.Cast(t.Context(), "note", nil) {
		if oslorpc.KindOf(err) != oslorpc.Untrusted || time.Since(begin) > time.Minute {
			t.Fatal(err)
		}
	}
	t.Logf("it recovered within %v", time.Since(begin))
}

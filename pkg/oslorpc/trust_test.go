package oslorpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	neturl "net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Options take precedence over the URL, and the URL over the environment, for each part. A
// certificate and its key stay together.
func TestTrustPrecedence(t *testing.T) {
	for _, name := range trust.Variables() {
		t.Setenv(name, "")
	}
	files := tlstest.New(t).Local("localhost").Write(t.TempDir())
	query := neturl.Values{"ca": {files.CA}, "cert": {files.Cert}, "key": {files.Key}}.Encode()
	for name, test := range map[string]struct {
		config    trust.Config
		query     string
		variables map[string]string
		says      string // of the error, none if empty
	}{
		"option":                   {config: files, query: "ca=/u", variables: map[string]string{trust.CAVariable: "/e"}},
		"URL":                      {query: query, variables: map[string]string{trust.CAVariable: "/e", trust.CertVariable: "/e"}},
		"environment":              {variables: map[string]string{trust.CAVariable: files.CA}},
		"environment is wrong":     {variables: map[string]string{trust.CAVariable: "/e"}, says: `OSLORPC_CA: there is no file "/e"`},
		"URL is wrong":             {query: "ca=/u", says: `the transport URL's ca: there is no file "/u"`},
		"option is wrong":          {config: trust.Config{CA: "/o"}, query: "ca=/u", says: `trust.Config.CA: there is no file "/o"`},
		"pairs are not mixed":      {query: "cert=/u", variables: map[string]string{trust.KeyVariable: "/e"}, says: "set the transport URL's key, too"},
		"TLS in place of files":    {config: trust.Config{TLS: tlstest.New(t).Mutual()}, variables: map[string]string{trust.CAVariable: "/e"}},
		"insecure is no boolean":   {query: "insecure=perhaps", says: "write true or false"},
		"hides in the URL":         {query: "hide=failures,introspection", variables: map[string]string{trust.HideVariable: "all"}},
		"hides in the option":      {config: trust.Config{Hide: trust.Hidden{Reflection: true}}, query: "hide=all"},
		"hides what is not there":  {query: "hide=failures,all", says: `the transport URL's hide: "all" cannot be hidden`},
		"hides by the environment": {variables: map[string]string{trust.HideVariable: "all"}, says: "OSLORPC_HIDE: \"all\" cannot be hidden"},
		"given twice":              {query: "ca=a&ca=b", says: "once"},
		"an option that is no one": {query: "caa=a", says: "nothing but a name"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.variables {
				t.Setenv(name, value)
			}
			address := "memory://trust"
			if test.query != "" {
				address += "?" + test.query
			}
			transport, err := oslorpc.Open(address, oslorpc.WithTrust(test.config))
			if err == nil {
				_ = transport.Close()
			}
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, test.says)
		})
	}
}

// Servers without TLS that other machines can reach need permission, whether they listen on such an
// address or advertise it. The log has one warning.
func TestPlaintextServers(t *testing.T) {
	for name, options := range map[string][]oslorpc.TransportOption{
		"listens":    {oslorpc.WithListen("0.0.0.0:0"), oslorpc.WithAdvertise("localhost")},
		"advertises": {oslorpc.WithAdvertise("node1.example")},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lockedBuffer{}
			options = append(options, oslorpc.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			start := func(more ...oslorpc.TransportOption) error {
				transport := open(t, append(options, more...)...)
				for _, name := range []string{"node1", "node2"} {
					s := transport.Server(oslorpc.Target{Topic: "agents", Server: name})
					s.Add(newAgent(name).endpoint("1.0"))
					if err := s.Start(t.Context()); err != nil {
						return err
					}
				}
				return nil
			}
			err := start()
			wantKind(t, err, oslorpc.Invalid, oslorpc.SafeToRetry(err))
			wantText(t, err, "Plaintext")
			if err := start(oslorpc.WithTrust(trust.Config{Plaintext: true})); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "without TLS"); n != 1 {
				t.Errorf("%d warnings: %s", n, log)
			}
		})
	}
}

// callers collects the certificates of the callers of a server.
type callers struct {
	mu      sync.Mutex
	serials map[string]bool
}

// note is an interceptor.
func (c *callers) note(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if p, is := peer.FromContext(ctx); is {
		if info, is := p.AuthInfo.(credentials.TLSInfo); is {
			c.mu.Lock()
			c.serials[info.State.PeerCertificates[0].SerialNumber.String()] = true
			c.mu.Unlock()
		}
	}
	return handler(ctx, request)
}

// rotation returns how long certificates are replaced, and how often. The minute of
// docs/security.md takes OSLORPC_ROTATION=1m.
func rotation(t *testing.T) (total, each time.Duration) {
	t.Helper()
	text := os.Getenv("OSLORPC_ROTATION")
	if text == "" {
		return 6 * time.Second, 500 * time.Millisecond
	}
	total, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return total, time.Second
}

// Certificates that are valid for seconds are replaced continuously under load. No call fails, not
// even a long one, and connections are replaced before their certificates expire.
func TestRotationUnderLoad(t *testing.T) {
	authority, dir, seen := tlstest.New(t), t.TempDir(), &callers{serials: map[string]bool{}}
	issue := func() trust.Config {
		files := authority.Issue(tlstest.Subject{
			DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(8 * time.Second),
		}).Write(dir)
		files.Grace = 2 * time.Second
		return files
	}
	files := issue()
	serveSecure(t, oslorpc.WithTrust(files), oslorpc.WithServerOptions(grpc.ChainUnaryInterceptor(seen.note)))
	c := open(t, oslorpc.WithTrust(files)).Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(20*time.Second))
	total, each := rotation(t)
	ctx, cancel := context.WithTimeout(t.Context(), total)
	defer cancel()
	var load sync.WaitGroup
	var calls, failed atomic.Int64
	for range 32 {
		load.Go(func() {
			for ctx.Err() == nil {
				calls.Add(1)
				if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	tick := time.NewTicker(each)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			issue()
		case <-ctx.Done():
		}
	}
	load.Wait()
	t.Logf("%d calls with %d certificates, %d failed", calls.Load(), len(seen.serials), failed.Load())
	if len(seen.serials) < 3 {
		t.Errorf("the calls showed %d certificates: connections were not replaced", len(seen.serials))
	}
}

// A caller whose certificate expires, or whose authority is no longer trusted, cannot use its
// connection for longer than the bound.
func TestConnectionsEndWithTheirTrust(t *testing.T) {
	ours, others := tlstest.New(t), tlstest.New(t)
	for name, test := range map[string]struct {
		client *tlstest.Certificate
		change func(ca string)
	}{
		"expired":    {ours.Issue(tlstest.Subject{NotAfter: time.Now().Add(3 * time.Second)}), func(string) {}},
		"distrusted": {others.Local(), func(ca string) { ours.Replace(ca, ours.PEM()) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := ours.Local("localhost").Write(t.TempDir())
			ours.Replace(files.CA, tlstest.Bundle(ours, others))
			files.Grace = time.Second
			serveSecure(t, oslorpc.WithTrust(files))
			secure := test.client.Mutual()
			secure.RootCAs = ours.Pool
			c := open(t, withTLS(secure)).Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(time.Second))
			if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
				t.Fatal(err)
			}
			test.change(files.CA)
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
					if !oslorpc.SafeToRetry(err) {
						t.Errorf("a call was lost: %v", err)
					}
					return
				}
				if time.Now().After(end) {
					t.Fatal("it goes on")
				}
			}
		})
	}
}

// outside returns an address of this machine that is not loopback.
func outside(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, is := a.(*net.IPNet); is && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no other address than loopback")
	return ""
}

// A client sends nothing to another machine without TLS, unless this is allowed. If it is allowed,
// the client warns once.
func TestPlaintextClients(t *testing.T) {
	address := outside(t)
	_, _, a := serveSecure(t, oslorpc.WithListen(address+":0"), plaintext)
	send := func(options ...oslorpc.TransportOption) error {
		return open(t, options...).Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(2*time.Second)).Cast(t.Context(), "note", nil)
	}
	err := send()
	wantKind(t, err, oslorpc.Untrusted, true)
	wantText(t, err, address, "is on another machine, and", "Plaintext")
	if a.casts.Load() != 0 {
		t.Error("it arrived")
	}
	log := &lockedBuffer{}
	if err := send(plaintext, oslorpc.WithLogger(slog.New(slog.NewTextHandler(log, nil)))); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "have no TLS"); n != 1 {
		t.Errorf("%d warnings: %s", n, log)
	}
}

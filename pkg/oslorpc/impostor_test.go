package oslorpc_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const (
	template    = "spiffe://cloud.example/exchange/{exchange}/topic/{topic}/server/{server}"
	asInventory = "spiffe://cloud.example/exchange/openstack/topic/inventory/server/node1"
	asPrinter   = "spiffe://cloud.example/exchange/openstack/topic/printers/server/printer-17"
	asNode2     = "spiffe://cloud.example/exchange/openstack/topic/inventory/server/node2"
)

// verifying opens a client that verifies server names.
func verifying(t *testing.T, authority *tlstest.Authority, registry string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	files := authority.Issue(tlstest.Subject{URIs: []string{"spiffe://cloud.example/client"}}).Write(t.TempDir())
	transport, err := oslorpc.Open(registry, append(options, oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithTrust(trust.Config{
		CA: files.CA, Cert: files.Cert, Key: files.Key, Identity: template,
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

// Every delivery reaches a server that proves its name with a certificate that has no other names.
func TestNameIsProved(t *testing.T) {
	authority := tlstest.New(t)
	s, _, _ := serveSecure(t, withTLS(authority.Issue(tlstest.Subject{URIs: []string{asInventory}}).Mutual()))
	for name, options := range map[string][]oslorpc.TransportOption{"plain": nil, "with interceptors": {oslorpc.WithDialOptions(grpc.WithUserAgent("test"))}} {
		t.Run(name, func(t *testing.T) {
			sender := verifying(t, authority, url(t), options...)
			for delivery, send := range everyDelivery(t.Context(), sender) {
				if err := send(); err != nil {
					t.Errorf("%s: %v", delivery, err)
				}
			}
			i, _ := s.Instance()
			if _, err := sender.Ping(t.Context(), i); err != nil {
				t.Errorf("ping: %v", err)
			}
			if _, err := sender.Info(t.Context(), i); err != nil {
				t.Errorf("info: %v", err)
			}
		})
	}
}

// An impostor has a valid certificate and registers in the place of another server. It receives no
// message.
func TestImpostor(t *testing.T) {
	authority := tlstest.New(t)
	for name, proves := range map[string]tlstest.Subject{
		"another topic":  {URIs: []string{asPrinter}},
		"another server": {URIs: []string{asNode2}},
		"an address":     {DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
	} {
		for how, options := range map[string][]oslorpc.TransportOption{"": nil, ", with interceptors": {oslorpc.WithDialOptions(grpc.WithUserAgent("test"))}} {
			t.Run(name+how, func(t *testing.T) {
				s, i, a := serveSecure(t, withTLS(authority.Issue(proves).Mutual()))
				instance, _ := s.Instance()
				for where, registry := range map[string]string{
					"it registers as another server":    url(t),
					"discovery has its address instead": "static://inventory/node1=" + instance.Addr,
				} {
					sender := verifying(t, authority, registry, options...)
					expectUntrusted(t, sender, "must prove "+asInventory+"; it proved ")
					for what, err := range map[string]error{"ping": second(sender.Ping(t.Context(), instance)), "info": second(sender.Info(t.Context(), instance))} {
						if oslorpc.KindOf(err) != oslorpc.Untrusted || !oslorpc.SafeToRetry(err) {
							t.Errorf("%s, %s: %v", where, what, err)
						}
					}
				}
				if i.count() != 0 || a.casts.Load() != 0 {
					t.Errorf("%d typed messages and %d casts arrived", i.count(), a.casts.Load())
				}
			})
		}
	}
}

// A connection without TLS proves no name, whatever the program's own credentials are.
func TestNameWithoutTLS(t *testing.T) {
	_, i, a := serveSecure(t)
	transport, err := oslorpc.Open(url(t), oslorpc.WithTrust(trust.Config{Identity: template}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	expectUntrusted(t, transport, "must prove "+asInventory+"; it proved nothing")
	if i.count() != 0 || a.casts.Load() != 0 {
		t.Error("a message arrived")
	}
}

// An interceptor that drops the context of a message does not disable the verification.
func TestNameWithoutContext(t *testing.T) {
	authority := tlstest.New(t)
	_, i, a := serveSecure(t, withTLS(authority.Issue(tlstest.Subject{URIs: []string{asInventory}}).Mutual()))
	lost := grpc.WithChainUnaryInterceptor(func(
		ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		deadline, _ := ctx.Deadline()
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		return invoke(ctx, method, request, reply, conn, options...)
	})
	sender := verifying(t, authority, url(t), oslorpc.WithDialOptions(lost))
	err := sender.Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(10*time.Second)).Cast(t.Context(), "note", nil)
	if err == nil || !strings.Contains(err.Error(), "must pass on the context") || i.count() != 0 || a.casts.Load() != 0 {
		t.Errorf("got %v", err)
	}
}

// Servers of one process share its connection, but a certificate may be valid for only one of them.
func TestNamesOfOneConnection(t *testing.T) {
	authority := tlstest.New(t)
	transport := open(t, withTLS(authority.Issue(tlstest.Subject{URIs: []string{asInventory}}).Mutual()))
	for _, topic := range []string{"inventory", "payments"} {
		s := transport.Server(oslorpc.Target{Topic: topic, Server: "node1"})
		s.Add(newAgent("node1").endpoint("1.0"))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sender := verifying(t, authority, url(t))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for topic, want := range map[string]oslorpc.Kind{"inventory": oslorpc.Unknown, "payments": oslorpc.Untrusted} {
				c := sender.Client(oslorpc.Target{Topic: topic}, oslorpc.WithTimeout(10*time.Second))
				if err := c.Cast(t.Context(), "note", nil); oslorpc.KindOf(err) != want {
					t.Errorf("to %s: %v", topic, err)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkIdentity measures the cost of verifying the server's name for each message.
func BenchmarkIdentity(b *testing.B) {
	authority := tlstest.New(b)
	server := authority.Issue(tlstest.Subject{URIs: []string{asInventory}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}).Mutual()
	for name, config := range map[string]trust.Config{
		"off": {Credentials: credentials.NewTLS(server)}, "on": {TLS: server, Identity: template},
	} {
		b.Run(name, func(b *testing.B) {
			transport, err := oslorpc.Open("memory://BenchmarkIdentity-"+name, oslorpc.WithTrust(config))
			if err != nil {
				b.Fatal(err)
			}
			defer transport.Close()
			s := transport.Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
			s.Add(newAgent("node1").endpoint("1.0"))
			if err := s.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			c := transport.Client(oslorpc.Target{Topic: "inventory"})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := oslorpc.Call[string](b.Context(), c, "whoami", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package gateway_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// With TLS, the gateway accepts a server whose certificate contains its name, and no other. The
// connection inside the stream uses TLS too: the server sees the certificate of the gateway.
func TestAttachedServerProvesItsName(t *testing.T) {
	t.Parallel()
	f, authority := newFleet(t), tlstest.New(t)
	of := func(name string) trust.Config {
		c := authority.Issue(tlstest.Subject{DNS: []string{name + ".example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
		return c.Write(t.TempDir())
	}
	names := of("gw")
	names.Identity = "dns:{server}.example"
	g := gateway.New()
	g.TakeServers()
	transport := f.open(t, asGateway{oslorpc.WithListen("127.0.0.1:0"), g}, oslorpc.WithTrust(names))
	gate := transport.Server(oslorpc.Target{Topic: gateway.Topic, Server: "gw"})
	if err := gate.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	at, _ := gate.Instance()
	edge := open(t, "gateway://"+at.Addr, oslorpc.WithTrust(of("edge")))
	seen := make(chan rpc.Peer, 10)
	start := func(name string) error {
		s := edge.Server(oslorpc.Target{Topic: topic, Server: name})
		s.Add(oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{"whoami": oslorpc.Func(
			func(ctx context.Context, _ none) (string, error) {
				seen <- oslorpc.MessageFrom(ctx).Peer
				return name, nil
			})}})
		return s.Start(bounded(t))
	}
	if err := start("other"); rpc.KindOf(err) != rpc.AccessDenied || !strings.Contains(fmt.Sprint(err), "must prove dns:other.example") {
		t.Errorf("a server with the certificate of another: %v", err)
	}
	if err := start("edge"); err != nil {
		t.Fatal(err)
	}
	client := f.open(t, oslorpc.WithTrust(of("client"))).Client(oslorpc.Target{Topic: topic, Server: "edge"})
	if name, err := oslorpc.Call[string](bounded(t), client, "whoami", nil); name != "edge" || err != nil {
		t.Fatalf("got %q, %v", name, err)
	}
	if p := <-seen; p.Identity.Proof != rpc.ProofTLS || p.TLS == nil {
		t.Errorf("the server sees %+v", p)
	}
}

package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// named is a fleet on a real Consul, whose servers must prove their names.
type named struct {
	*fleet

	authority *tlstest.Authority
}

// template is the name that servers of the topic must prove. It does not depend on hosts.
const template = "dns:{server}.{topic}.example"

func newNamed(t *testing.T) *named {
	t.Helper()
	return &named{&fleet{consultest.Start(t).URL()}, tlstest.New(t)}
}

// trust returns what a process trusts that has a certificate for a name, and for no host.
func (n *named) trust(t *testing.T, name string, gateways ...string) trust.Config {
	t.Helper()
	config := n.authority.Issue(tlstest.Subject{DNS: []string{name}}).Write(t.TempDir())
	config.Identity, config.Gateways = template, gateways
	return config
}

// gateway starts a gateway that takes servers which prove their names.
func (n *named) gateway(t *testing.T, name, certificate string, gateways ...string) *gate {
	t.Helper()
	return n.attaching(t, name, oslorpc.WithTrust(n.trust(t, certificate, gateways...)))
}

// attach starts a server that is attached to gateways which it trusts.
func (n *named) attach(t *testing.T, name, certificate string, trusted string, gates ...*gate) (*shop, error) {
	t.Helper()
	addrs := make([]string, len(gates))
	for i, g := range gates {
		addrs[i] = g.addr
	}
	s := &shop{name: name, running: make(chan struct{}, 16), gone: make(chan error, 16)}
	s.server = open(t, "gateway://"+strings.Join(addrs, ","), oslorpc.WithTrust(n.trust(t, certificate, trusted))).
		Server(oslorpc.Target{Topic: topic, Server: name})
	s.server.Add(oslorpc.Endpoint{Version: "1.4", Methods: s.methods()})
	return s, s.server.Start(bounded(t))
}

// A client that wants servers to prove their names reaches an attached server through a gateway
// that it trusts, and another one at its own address, whether it finds them in Consul or behind the
// gateway. It sends nothing through a gateway that it does not trust.
func TestIdentitiesOfAttachedServersOnConsul(t *testing.T) {
	anycarrier.Each(t, testIdentitiesOfAttachedServersOnConsul)
}

func testIdentitiesOfAttachedServersOnConsul(t *testing.T) {
	t.Helper()
	n := newNamed(t)
	g := n.gateway(t, "gw", "gw.example")
	edge, err := n.attach(t, "edge", "edge.inventory.example", "dns:gw.example", g)
	if err != nil {
		t.Fatal(err)
	}
	near := n.serve(t, "near", oslorpc.WithTrust(n.trust(t, "near.inventory.example")))
	for name, c := range map[string]struct {
		url      string
		gateways []string
		server   *shop
		trusted  bool
		says     string
	}{
		"in Consul, with the gateway":                {n.url, []string{"dns:gw.example"}, edge, true, ""},
		"in Consul, with a pattern":                  {n.url, []string{"dns:*.example"}, edge, true, ""},
		"in Consul, with another gateway":            {n.url, []string{"dns:other.example"}, edge, false, "it proved dns:gw.example, and is not a trusted gateway"},
		"in Consul, without gateways":                {n.url, nil, edge, false, "must prove dns:edge.inventory.example; it proved dns:gw.example"},
		"in Consul, a server that is not attached":   {n.url, nil, near, true, ""},
		"behind the gateway":                         {"gateway://" + g.addr, []string{"dns:gw.example"}, edge, true, ""},
		"behind the gateway, one that is not":        {"gateway://" + g.addr, []string{"dns:gw.example"}, near, true, ""},
		"behind another gateway than is trusted":     {"gateway://" + g.addr, []string{"dns:other.example"}, edge, false, "proved dns:gw.example, which is not a trusted gateway"},
		"behind a gateway without its host's name":   {"gateway://" + g.addr, nil, edge, false, `a certificate for "gw.example", and "127.0.0.1" is expected`},
		"behind a gateway that is the server itself": {"gateway://" + near.instance.Addr, []string{"dns:gw.example"}, near, false, "proved dns:near.inventory.example, which is not a trusted gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			client := open(t, c.url, oslorpc.WithTrust(n.trust(t, "client.example", c.gateways...))).
				Client(oslorpc.Target{Topic: topic, Server: c.server.name}, oslorpc.WithTimeout(patience), oslorpc.WithFailFast(!c.trusted))
			before := c.server.count()
			for way, send := range deliveries() {
				switch err := send(bounded(t), client); {
				case c.trusted && err != nil:
					t.Errorf("%s: %v", way, err)
				case !c.trusted && (!rpc.SafeToRetry(err) || !strings.Contains(err.Error(), c.says)):
					t.Errorf("%s: got %v, want %q", way, err, c.says)
				}
			}
			if !c.trusted && c.server.count() != before {
				t.Error("a message ran that must not have been sent")
			}
		})
	}
}

// deliveries are ways to send a message to a server by name.
func deliveries() map[string]func(context.Context, *oslorpc.Client) error {
	return map[string]func(context.Context, *oslorpc.Client) error{
		"call": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := oslorpc.Call[string](ctx, c, "whoami", nil)
			return err
		},
		"cast": func(ctx context.Context, c *oslorpc.Client) error { return c.Cast(ctx, "whoami", nil) },
		"multicall": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Multicall[int](ctx, c, "count", nil) {
				failed = err
			}
			return failed
		},
	}
}

// A server attaches to a gateway only if that takes it and it trusts that: by the names of both.
func TestAttachingWithIdentitiesOnConsul(t *testing.T) {
	n := newNamed(t)
	g := n.gateway(t, "gw", "gw.example")
	if _, err := n.attach(t, "edge", "other.inventory.example", "dns:gw.example", g); rpc.KindOf(err) != rpc.AccessDenied ||
		!strings.Contains(err.Error(), "must prove dns:edge.inventory.example") {
		t.Errorf("a server with the name of another: %v", err)
	}
	if _, err := n.attach(t, "edge", "edge.inventory.example", "dns:other.example", g); !rpc.SafeToRetry(err) ||
		!strings.Contains(err.Error(), "proved dns:gw.example, which is not a trusted gateway") {
		t.Errorf("a gateway that the server does not trust: %v", err)
	}
	if got := names(t, n.open(t, oslorpc.WithTrust(n.trust(t, "client.example")))); got != "" {
		t.Errorf("servers are announced that are not attached: %s", got)
	}
}

// A gateway with a template forwards to a server that is attached to another gateway if it trusts
// that one.
func TestGatewaysWithIdentitiesTrustEachOther(t *testing.T) {
	n := newNamed(t)
	there := n.gateway(t, "there", "there.gw.example")
	if _, err := n.attach(t, "edge", "edge.inventory.example", "dns:*.gw.example", there); err != nil {
		t.Fatal(err)
	}
	for name, trusted := range map[string]bool{"dns:*.gw.example": true, "dns:other.example": false} {
		here := n.gateway(t, "here", "here.gw.example", name)
		client := open(t, "gateway://"+here.addr, oslorpc.WithTrust(n.trust(t, "client.example", "dns:here.gw.example"))).
			Client(oslorpc.Target{Topic: topic, Server: "edge"}, oslorpc.WithTimeout(patience))
		if !trusted {
			client = client.Prepare(oslorpc.WithRetry(0))
		}
		got, err := oslorpc.Call[string](bounded(t), client, "whoami", nil)
		if trusted && (got != "edge" || err != nil) || !trusted && (err == nil || !rpc.SafeToRetry(err)) {
			t.Errorf("a gateway that trusts %s: %q, %v", name, got, err)
		}
	}
}

package gateway_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// secured is a fleet whose processes have certificates.
type secured struct {
	*fleet

	authority *tlstest.Authority
}

// as returns the option for the certificate of a process.
func (s *secured) as(name string, gateways ...string) oslorpc.TransportOption {
	return oslorpc.WithTrust(trust.Config{TLS: s.authority.Mutual(name), Gateways: gateways})
}

// stub returns a thin stub with a certificate.
func (s *secured) stub(t *testing.T, name, addr string) pb.RPCServiceClient {
	t.Helper()
	config := s.authority.Mutual(name)
	config.ServerName = "127.0.0.1"
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithUserAgent("thin"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewRPCServiceClient(conn)
}

// TestCaller checks that a server that trusts a gateway sees the sender of a message, and that
// another server sees the gateway. The senders' claims about themselves have no effect.
func TestCaller(t *testing.T) {
	f := &secured{newFleet(t), tlstest.New(t)}
	trusting := f.serve(t, "trusting", f.as("trusting.example", "dns:gw.example"))
	wary := f.serve(t, "wary", f.as("wary.example"))
	g := f.gateway(t, "gw", f.as("gw.example"))
	ctx := bounded(t)
	lie := &pb.Caller{Names: []string{"dns:admin.example"}, Address: "10.9.9.9:1", Agent: "admin"}

	via := f.stub(t, "ann.example", g.addr)
	for name, lying := range map[string]bool{"a caller": false, "a caller who lies": true} {
		m := to("trusting", "whoami")
		if lying {
			m.Caller = lie
		}
		if _, err := via.Call(ctx, &pb.CallRequest{Message: m}); err != nil {
			t.Fatal(err)
		}
		got := trusting.last()
		if !slices.Contains(got.Peer.Identity.Names, "dns:ann.example") || got.Peer.Identity.Proof != rpc.ProofGateway || got.Caller != "thin" ||
			got.Peer.Via == nil || !slices.Contains(got.Peer.Via.Identity.Names, "dns:gw.example") || !strings.HasPrefix(got.Peer.Addr, "127.0.0.1:") {
			t.Errorf("%s, where the gateway is trusted: %+v, agent %q", name, got.Peer, got.Caller)
		}
		m.Target.Server = &wary.name
		if _, err := via.Call(ctx, &pb.CallRequest{Message: m}); err != nil {
			t.Fatal(err)
		}
		if got = wary.last(); got.Peer.Via != nil || !slices.Contains(got.Peer.Identity.Names, "dns:gw.example") {
			t.Errorf("%s, where the gateway is not trusted: %+v", name, got.Peer)
		}
	}
	direct := f.stub(t, "bob.example", trusting.instance.Addr)
	m := to("trusting", "whoami")
	m.Caller = lie
	if _, err := direct.Call(ctx, &pb.CallRequest{Message: m}); err != nil {
		t.Fatal(err)
	}
	if got := trusting.last(); got.Peer.Via != nil || !slices.Contains(got.Peer.Identity.Names, "dns:bob.example") {
		t.Errorf("a caller who is no gateway: %+v", got.Peer)
	}
}

// TestPolicyOfOriginalCallers checks that the policy of a server that trusts a gateway applies to
// the callers behind it, like the policy of the gateway itself.
func TestPolicyOfOriginalCallers(t *testing.T) {
	f := &secured{newFleet(t), tlstest.New(t)}
	allow := func(names ...string) *trust.Policy {
		return &trust.Policy{Rules: []trust.Rule{{Name: "callers", From: names}}}
	}
	a := f.serve(t, "a", oslorpc.WithTrust(trust.Config{
		TLS: f.authority.Mutual("a.example"), Gateways: []string{"dns:gw.example"}, Policy: allow("dns:ann.example", "dns:eve.example"),
	}))
	g := f.gateway(t, "gw", oslorpc.WithTrust(trust.Config{TLS: f.authority.Mutual("gw.example"), Policy: allow("dns:ann.example", "dns:bob.example")}))
	ctx := bounded(t)
	for name, at := range map[string]string{"ann.example": "", "bob.example": "a", "eve.example": "gateway", "tom.example": "gateway"} {
		c := f.stub(t, name, g.addr)
		_, err := c.Call(ctx, &pb.CallRequest{Message: to("", "whoami")})
		_, cast := c.Cast(ctx, &pb.CastRequest{Message: to("a", "whoami")})
		if at == "" {
			if err != nil || cast != nil {
				t.Errorf("%s is denied: %v, %v", name, err, cast)
			}
			continue
		}
		for _, err := range []error{err, cast} {
			if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_ACCESS_DENIED || !d.GetNotStarted() {
				t.Errorf("%s: %v, want a denial at the %s", name, err, at)
			}
		}
		if a.ranFor("dns:" + name) {
			t.Errorf("%s was denied, and its message ran", name)
		}
	}
}

// TestLoop checks that a message that comes back, or that another gateway forwarded, is refused.
func TestLoop(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	g := f.gateway(t, "gw")
	instance, _ := g.server.Instance()
	c, ctx := pb.NewRPCServiceClient(g.connect(t)), bounded(t)
	for name, gateways := range map[string][]string{"back": {instance.BootID}, "through another": {"other"}} {
		m := to("", "whoami")
		m.Caller = &pb.Caller{Gateways: gateways}
		_, err := c.Call(ctx, &pb.CallRequest{Message: m})
		d := detail(t, err)
		if d.GetKind() != pb.ErrorKind_ERROR_KIND_MISDIRECTED || !d.GetNotStarted() ||
			!strings.Contains(d.GetMessage(), instance.BootID) || !strings.Contains(d.GetMessage(), gateways[0]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a.count() != 0 {
		t.Error("a message that was refused ran")
	}
	// A gateway that finds servers through another gateway is such a case.
	outer := &fleet{"static://" + topic + "/a=" + g.addr}
	far := outer.gateway(t, "far")
	m := to("a", "whoami")
	m.Remaining = durationpb.New(3 * time.Second)
	_, err := pb.NewRPCServiceClient(far.connect(t)).Call(ctx, &pb.CallRequest{Message: m})
	if d := detail(t, err); !d.GetNotStarted() || !strings.Contains(d.GetMessage(), instance.BootID) {
		t.Errorf("a chain of gateways: %v", err)
	}
}

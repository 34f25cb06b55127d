package interception

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// bearing returns a stranger with the given certificates, whose RPCs have authorization headers.
func (g *guarded) bearing(t *testing.T, certificates []tls.Certificate, headers ...string) stranger {
	t.Helper()
	add := func(ctx context.Context) context.Context {
		for _, h := range headers {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
		}
		return ctx
	}
	i, _ := g.servers["node1"].Instance()
	conn, err := grpc.NewClient(
		i.Addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: g.authority.Pool, Certificates: certificates, MinVersion: tls.VersionTLS13})),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			return invoke(add(ctx), method, request, reply, conn, o...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(add(ctx), d, conn, method, o...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return stranger{conn, i}
}

const (
	noToken  = "access denied: the server requires a token or a certificate, and the caller has none"
	badToken = "access denied: the server does not accept the token of the caller"
)

// Every RPC of a server that verifies tokens needs a valid token or a certificate, even without a
// policy. A refused RPC reaches no part of the program.
func TestNoRPCBypassesTokens(t *testing.T) {
	g := newGuarded(t, proofNamed("token"), nil)
	certificates := []tls.Certificate{g.authority.Local(strangerName).TLS()}
	for name, test := range map[string]struct {
		headers      []string
		certificates []tls.Certificate
		says         string
	}{
		"none":                      {says: noToken},
		"empty":                     {headers: []string{""}, says: badToken},
		"no scheme":                 {headers: []string{"the-token-of-client"}, says: badToken},
		"another scheme":            {headers: []string{"Basic the-token-of-client"}, says: badToken},
		"no token":                  {headers: []string{"Bearer "}, says: badToken},
		"two":                       {headers: []string{"Bearer the-token-of-client", "Bearer the-token-of-client"}, says: badToken},
		"forged":                    {headers: []string{"Bearer the-secret-of-mallory"}, says: badToken},
		"forged, and a certificate": {[]string{"Bearer the-secret-of-mallory"}, certificates, badToken},
		"expired":                   {headers: []string{"Bearer the-token-that-expired"}, says: badToken},
		"no subject":                {headers: []string{"Bearer the-token-of-nobody"}, says: badToken},
		"a subject of two lines":    {headers: []string{"Bearer the-token-of-two-lines"}, says: badToken},
		"a panic":                   {headers: []string{"Bearer the-token-that-panics"}, says: badToken},
	} {
		t.Run(name, func(t *testing.T) {
			s := g.bearing(t, test.certificates, test.headers...)
			for _, c := range rpcs(t) {
				err := c.do(t, s)
				if status.Code(err) != codes.PermissionDenied || status.Convert(err).Message() != test.says {
					t.Errorf("%s: got %v", c.path, err)
				}
				checkDetail(t, err)
			}
			for path, err := range useServices(t.Context(), s.conn) {
				if status.Convert(err).Message() != test.says {
					t.Errorf("%s: got %v", path, err)
				}
			}
			for _, path := range []string{"/oslorpc.v1.RPCService/Other", "/no.such.Service/Method"} {
				err := s.conn.Invoke(t.Context(), path, &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{})
				if status.Convert(err).Message() != test.says {
					t.Errorf("%s: got %v", path, err)
				}
			}
			for _, at := range []point{accept, run, method} {
				if list := g.journal.take(at); len(list) > 0 {
					t.Errorf("the message reached the point %s: %v", at, list)
				}
			}
		})
	}
	text := g.log.all()
	if n := strings.Count(text, "the token of a client proves nothing"); n != 1 {
		t.Errorf("the log has %d lines about refused tokens: %s", n, text)
	}
	if strings.Contains(text, "the-") {
		t.Errorf("the log has a token: %s", text)
	}
}

// proofNamed returns the proof with this name.
func proofNamed(name string) proof {
	list := proofs()
	return list[slices.IndexFunc(list, func(p proof) bool { return p.name == name })]
}

// An RPC with a token has the identity of the token, which takes precedence over the certificate.
// The token itself is visible nowhere.
func TestTokenIdentity(t *testing.T) { anycarrier.Each(t, testTokenIdentity) }

func testTokenIdentity(t *testing.T) {
	t.Helper()
	g := newGuarded(t, proofNamed("token"), nil)
	const name = "token:https://issuer.example/stranger"
	for title, test := range map[string]struct {
		header       string
		certificates []tls.Certificate
		want         rpc.Identity
	}{
		"token":      {"Bearer the-token-of-stranger", nil, rpc.Identity{Proof: rpc.ProofToken, Names: []string{name}}},
		"lower case": {"bearer  the-token-of-stranger", nil, rpc.Identity{Proof: rpc.ProofToken, Names: []string{name}}},
		"both": {
			"Bearer the-token-of-stranger", []tls.Certificate{g.authority.Issue(tlstest.Subject{DNS: []string{strangerName}}).TLS()},
			rpc.Identity{Proof: rpc.ProofToken, Names: []string{name, "dns:" + strangerName}},
		},
	} {
		t.Run(title, func(t *testing.T) {
			s := g.bearing(t, test.certificates, test.header)
			for _, c := range rpcs(t) {
				g.journal.reset()
				if c.isSession() { // a token may expire before a session ends
					if err := c.do(t, s); status.Code(err) != codes.PermissionDenied || len(g.journal.take(accept)) > 0 {
						t.Errorf("a session: got %v", err)
					}
					continue
				}
				if err := c.do(t, s); err != nil && status.Code(err) != codes.Unimplemented {
					t.Errorf("%s: got %v", c.path, err)
				}
				for _, seen := range g.journal.take(accept) {
					if i := seen.message.Peer.Identity; i.Proof != test.want.Proof || !slices.Equal(i.Names, test.want.Names) {
						t.Errorf("%s: the identity is %+v", c.path, i)
					}
					if seen.message.Metadata.Get("authorization") != "" || seen.message.Metadata.Get("token") != "x" {
						t.Errorf("%s: the metadata are %v", c.path, seen.message.Metadata)
					}
				}
				if c.delivery != rpc.DeliveryInspect {
					g.journal.await(t, run, 1)
				}
			}
			info, err := g.transport.Info(t.Context(), s.instance, oslorpc.WithRequests())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(info.Servers[0].Requests); n == 0 {
				t.Error("nothing was counted")
			}
			for _, r := range info.Servers[0].Requests {
				if r.Identity != name {
					t.Errorf("a request was counted for %q", r.Identity)
				}
			}
		})
	}
}

// A client with a certificate needs no token, and a Unix socket proves the user.
func TestOtherProofsNeedNoToken(t *testing.T) {
	t.Run("certificate", func(t *testing.T) {
		g := newGuarded(t, proofNamed("token"), nil)
		s := g.stranger(t, "node1")
		for _, c := range rpcs(t) {
			if err := c.do(t, s); err != nil && status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: got %v", c.path, err)
			}
		}
	})
	t.Run("user", func(t *testing.T) {
		p := proofNamed("user")
		p.server = func(*testing.T, *tlstest.Authority) trust.Config { return trust.Config{Tokens: tokens{}} }
		g := newGuarded(t, p, &trust.Policy{Rules: []trust.Rule{inspect, {From: []string{p.from}, Topic: []string{topic}}}})
		for _, r := range rows() {
			g.journal.reset()
			g.checkRuns(t, &r, r.send(t.Context(), g.client))
		}
	})
}

// The token of a caller is neither in the message nor in the metadata of gRPC. A client with a
// token sends no other token, neither from the metadata of a context nor from an interceptor.
func TestTokenGoesNoFurther(t *testing.T) {
	g := newGuarded(t, proofNamed("token"), nil)
	var seen []string
	relay := g.join(t, oslorpc.WithTrust(takingTokens(t, g.authority))).Server(oslorpc.Target{Topic: "relay", Server: "r"})
	relay.Add(oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{"pass": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen = append(seen, md.Get("authorization")...)
		seen = append(seen, oslorpc.MessageFrom(ctx).Metadata["authorization"]...)
		for _, r := range rows() {
			out := metadata.NewOutgoingContext(ctx, metadata.Pairs("authorization", "Bearer the-token-of-stranger"))
			if err := r.send(out, g.client).err; rpc.KindOf(err) != rpc.Invalid || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), "TokenFile") {
				t.Errorf("%s: got %v", r.name, err)
			}
		}
		return oslorpc.Call[string](ctx, g.client, "whoami", nil)
	})}})
	if err := relay.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := g.transport.Client(oslorpc.Target{Topic: "relay", Version: "1.0"}, oslorpc.WithTimeout(patience))
	if _, err := oslorpc.Call[string](t.Context(), client, "pass", nil); err != nil {
		t.Fatal(err)
	}
	if len(seen) > 0 {
		t.Errorf("the method saw %q", seen)
	}
	if list := g.journal.take(accept); len(list) != 1 || list[0].message.Peer.Identity.Key() != "token:https://issuer.example/client" {
		t.Errorf("the servers saw %v", list)
	}
}

// A metadata entry within a message is not a token, and no method sees it as a verified token.
func TestTokenWithinAMessage(t *testing.T) {
	for proof, want := range map[string]string{"token": "", "mTLS": "Bearer the-token-of-client"} {
		t.Run(proof, func(t *testing.T) {
			g := newGuarded(t, proofNamed(proof), nil)
			s := g.stranger(t, "node1")
			name := topic
			m := &pb.Message{
				Target:     &pb.Target{Topic: &name},
				InstanceId: s.instance.ID, Method: "whoami", Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: "{}"}},
				Metadata: map[string]string{"Authorization": "Bearer the-token-of-client"},
			}
			if _, err := pb.NewRPCServiceClient(s.conn).Call(t.Context(), &pb.CallRequest{Message: m}); err != nil {
				t.Fatal(err)
			}
			seen := g.journal.take(accept)[0].message
			if got := seen.Metadata.Get("authorization"); got != want || seen.Peer.Identity.Key() != "dns:"+strangerName {
				t.Errorf("the server saw the token %q of %v", got, seen.Peer.Identity)
			}
		})
	}
}

// If the transport has no tokens, programs can send their own tokens with each message. These prove
// nothing to the library.
func TestTokensOfPrograms(t *testing.T) {
	for _, name := range []string{"mTLS", "none"} {
		t.Run(name, func(t *testing.T) {
			p := proofNamed(name)
			g := newGuarded(t, p, &trust.Policy{Rules: []trust.Rule{{From: []string{p.from}, Topic: []string{topic}}}})
			for _, r := range rows() {
				g.journal.reset()
				ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("authorization", "Bearer my-own"))
				if err := r.send(ctx, g.client).err; err != nil {
					t.Errorf("%s: %v", r.name, err)
				}
				for _, e := range append(g.journal.await(t, run, 1), g.journal.take(accept)...) {
					if i := e.message.Peer.Identity; e.message.Metadata.Get("authorization") != "Bearer my-own" || i.Proof == rpc.ProofToken {
						t.Errorf("%s: at %s the metadata are %v, of %v", r.name, e.point, e.message.Metadata, i)
					}
				}
			}
		})
	}
}

package inbound_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// asked is a health service that records what its caller proved.
type asked struct {
	grpc_health_v1.UnimplementedHealthServer

	got chan rpc.Peer
	tls chan bool
	// stream receives the number of the RPC's stream. It may be nil.
	stream chan uint32
}

func (a *asked) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	p, _ := peer.FromContext(ctx)
	_, isTLS := p.AuthInfo.(credentials.TLSInfo)
	a.got <- inbound.From(ctx).Peer()
	a.tls <- isTLS
	if a.stream != nil {
		id, _ := inbound.StreamOf(ctx)
		a.stream <- id
	}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

// ask calls a server over its listener and returns what the server knows about its caller.
func ask(t *testing.T, l net.Listener, server, client credentials.TransportCredentials) (rpc.Peer, bool) {
	t.Helper()
	a := &asked{got: make(chan rpc.Peer, 1), tls: make(chan bool, 1)}
	askOf(t, a, l, server, client)
	return <-a.got, <-a.tls
}

// askOf calls a server that has the service.
func askOf(t *testing.T, a *asked, l net.Listener, server, client credentials.TransportCredentials) {
	t.Helper()
	s := grpc.NewServer(grpc.Creds(inbound.Credentials(server, slog.New(slog.DiscardHandler), nil, nil)))
	grpc_health_v1.RegisterHealthServer(s, a)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient(l.Addr().Network()+":"+l.Addr().String(), grpc.WithTransportCredentials(client), grpc.WithAuthority("server"))
	if l.Addr().Network() == "tcp" {
		conn, err = grpc.NewClient("passthrough:"+l.Addr().String(), grpc.WithTransportCredentials(client), grpc.WithAuthority("server"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCertificateProves(t *testing.T) {
	authority := tlstest.New(t)
	both := func(name string) credentials.TransportCredentials { return credentials.NewTLS(authority.Mutual(name)) }
	p, isTLS := ask(t, listen(t, "tcp", "127.0.0.1:0"), both("server"), both("ann"))
	if p.Identity.Proof != rpc.ProofTLS || p.Identity.String() != "dns:ann" || p.TLS == nil {
		t.Errorf("the peer is %+v", p)
	}
	if !isTLS {
		t.Error("handlers no longer see credentials.TLSInfo")
	}
}

func TestPlaintextProvesNothing(t *testing.T) {
	p, _ := ask(t, listen(t, "tcp", "127.0.0.1:0"), insecure.NewCredentials(), insecure.NewCredentials())
	if p.Identity.Proof != rpc.ProofNone || p.Identity.String() != "unproven" || p.Identity.Key() != "" {
		t.Errorf("the identity is %+v", p.Identity)
	}
	if host, _, err := net.SplitHostPort(p.Addr); err != nil || host != "127.0.0.1" {
		t.Errorf("the address is %q", p.Addr)
	}
}

func TestSocketProvesUser(t *testing.T) {
	l := listen(t, "unix", filepath.Join(t.TempDir(), "s"))
	p, _ := ask(t, l, insecure.NewCredentials(), insecure.NewCredentials())
	if want := "user:" + strconv.Itoa(os.Getuid()); p.Identity.Proof != rpc.ProofUser || p.Identity.String() != want {
		t.Errorf("the identity is %+v, want %s", p.Identity, want)
	}
}

// The guard finds the stream of an RPC in a field of gRPC. A gRPC version without this field needs
// another way.
func TestStreamOf(t *testing.T) {
	if _, ok := inbound.StreamOf(t.Context()); ok {
		t.Error("a context of no RPC has a stream")
	}
	a := &asked{got: make(chan rpc.Peer, 1), tls: make(chan bool, 1), stream: make(chan uint32, 1)}
	askOf(t, a, listen(t, "tcp", "127.0.0.1:0"), insecure.NewCredentials(), insecure.NewCredentials())
	if id := <-a.stream; id != 1 {
		t.Errorf("the first RPC of a connection has stream %d", id)
	}
}

package peer

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// tokenHealth is a health service that records the tokens that it receives.
type tokenHealth struct {
	healthpb.UnimplementedHealthServer

	got atomic.Pointer[[]string]
}

func (h *tokenHealth) note(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	got := md.Get("authorization")
	h.got.Store(&got)
}

func (h *tokenHealth) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	h.note(ctx)
	return &healthpb.HealthCheckResponse{}, nil
}

func (h *tokenHealth) List(ctx context.Context, _ *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	h.note(ctx)
	return &healthpb.HealthListResponse{}, nil
}

// Tokens are sent with all RPCs over TLS and sockets except for probes, since a probe may reach
// another server. Without TLS, an RPC with a token is not sent.
func TestBearer(t *testing.T) {
	authority := tlstest.New(t)
	secure := credentials.NewTLS(authority.Mutual("localhost"))
	for name, test := range map[string]struct {
		network, address string
		credentials      credentials.TransportCredentials
		sends            bool
	}{
		"TLS":      {"tcp", "127.0.0.1:0", secure, true},
		"socket":   {"unix", filepath.Join(t.TempDir(), "s"), insecure.NewCredentials(), true},
		"in clear": {"tcp", "127.0.0.1:0", insecure.NewCredentials(), false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen(test.network, test.address)
			if err != nil {
				t.Fatal(err)
			}
			h := &tokenHealth{}
			s := grpc.NewServer(grpc.Creds(test.credentials))
			healthpb.RegisterHealthServer(s, h)
			go func() { _ = s.Serve(l) }()
			t.Cleanup(s.Stop)
			addr := l.Addr().String()
			if test.network == "unix" {
				addr = "unix:" + addr
			}
			conn, err := Config{Credentials: test.credentials, Token: func() string { return "t" }}.dialer(nil)(carrier.Key{Addr: addr}, &sight{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			client := healthpb.NewHealthClient(conn)
			if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || len(*h.got.Load()) > 0 {
				t.Errorf("a probe has %q: %v", *h.got.Load(), err)
			}
			ctx := Meaning(t.Context(), identity.Server{Name: "node1"})
			_, err = client.List(ctx, &healthpb.HealthListRequest{})
			refused := Refused(ctx)
			switch {
			case test.sends && (err != nil || refused != nil || !slices.Equal(*h.got.Load(), []string{"Bearer t"})):
				t.Errorf("it has %q: %v", *h.got.Load(), err)
			case !test.sends && (err == nil || refused == nil || refused.Kind != rpc.Untrusted || len(*h.got.Load()) > 0):
				t.Errorf("it was sent with %q: %v, %v", *h.got.Load(), err, refused)
			}
		})
	}
}

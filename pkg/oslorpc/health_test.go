package oslorpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// wantHealth checks the status that the health service returns for each name: SERVING, NOT_SERVING,
// or "" for an unknown name.
func wantHealth(t *testing.T, conn *grpc.ClientConn, when string, want map[string]string) {
	t.Helper()
	for name, status := range want {
		if got := healthOf(t, conn, name); got != status {
			t.Errorf("%s: %q is %q, want %q", when, name, got, status)
		}
	}
}

func healthOf(t *testing.T, conn *grpc.ClientConn, name string) string {
	t.Helper()
	r, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
	switch status.Code(err) {
	case codes.OK:
		return r.GetStatus().String()
	case codes.NotFound:
		return ""
	default:
		t.Fatal(err)
		return ""
	}
}

// allHealths returns a map with the same status for each name that belongs to a server of the test.
func allHealths(status string) map[string]string {
	return map[string]string{
		"": status, "agents": status, "nova/agents": "", "openstack/agents": status,
		v1.InventoryService_ServiceDesc.ServiceName: status,
	}
}

func TestHealthFollowsPhases(t *testing.T) {
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithHold())
	s.Add(newAgent("node1").endpoint("1.0"))
	v1.RegisterInventoryServiceServer(s, &inventory{name: "node1"})
	must(t, s.Start(t.Context()))
	i, _ := s.Instance()
	conn := dial(t, i.Addr)
	wantHealth(t, conn, "held", allHealths("NOT_SERVING"))
	must(t, s.Release(t.Context()))
	wantHealth(t, conn, "released", allHealths("SERVING"))
	must(t, s.Drain(t.Context()))
	wantHealth(t, conn, "draining", allHealths("NOT_SERVING"))
	must(t, s.Resume(t.Context()))
	wantHealth(t, conn, "resumed", allHealths("SERVING"))

	// Another server still serves the site. Its topic is in another exchange.
	other := serveOn(t, transport, oslorpc.Target{Exchange: "nova", Topic: "agents", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	must(t, s.Stop(context.Background()))
	wantHealth(t, conn, "one stopped", map[string]string{
		"": "SERVING", "agents": "NOT_SERVING", "openstack/agents": "NOT_SERVING", "nova/agents": "SERVING",
		v1.InventoryService_ServiceDesc.ServiceName: "NOT_SERVING",
	})
	must(t, other.Drain(t.Context()))
	wantHealth(t, conn, "the other drains", map[string]string{"": "NOT_SERVING", "nova/agents": "NOT_SERVING"})
}

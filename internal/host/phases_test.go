package host

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/phase"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// probe returns the health status of the topic.
func probe(t *testing.T, addr string) healthpb.HealthCheckResponse_ServingStatus {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	response, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "compute"})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetStatus()
}

// Discovery and the health service follow the phase of a server.
func TestPhasesAreAnnounced(t *testing.T) {
	t.Parallel()
	r := newHandle()
	h := newHost(t, r)
	s := newServer(h, "host1", unchanged)
	other := newServer(h, "host2", unchanged)
	for _, step := range []struct {
		name string
		do   func(context.Context) error
		want []string // nil if nothing is published
	}{
		{"start", s.Start, []string{"host1 active"}},
		{"start of another", other.Start, []string{"host1 active", "host2 active"}},
		{"release of a server that is not held", s.Release, nil},
		{"drain", s.Drain, []string{"host1 draining", "host2 active"}},
		{"drain again", s.Drain, nil},
		{"resume", s.Resume, []string{"host1 active", "host2 active"}},
		{"stop of the other", other.Stop, []string{"host1 active"}},
		{"drain before the stop", s.Drain, []string{"host1 draining"}},
	} {
		if err := step.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		switch {
		case step.want == nil && len(r.published) != 0:
			t.Errorf("%s is published", step.name)
		case step.want != nil:
			if got := states(t, r); !slices.Equal(got, step.want) {
				t.Errorf("%s: published are %q, want %q", step.name, got, step.want)
			}
		}
		want := healthpb.HealthCheckResponse_SERVING
		if step.want != nil && !slices.ContainsFunc(step.want, isActive) {
			want = healthpb.HealthCheckResponse_NOT_SERVING
		}
		i, _ := s.Instance()
		if got := probe(t, i.Addr); got != want {
			t.Errorf("%s: the health is %v", step.name, got)
		}
	}
}

func isActive(server string) bool { return strings.HasSuffix(server, " active") }

// A server whose stop has begun is withdrawn and unhealthy. It still accepts messages until its
// grace period is over.
func TestLeavingServerIsWithdrawn(t *testing.T) {
	t.Parallel()
	r := newHandle()
	h := newHost(t, r)
	s, other := newServer(h, "host1", unchanged), newServer(h, "host2", func(c *ServerConfig) { c.Target.Topic = "other" })
	if err := errors.Join(s.Start(t.Context()), other.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	h.withdraw(t.Context(), withdrawTimeout, s)
	states(t, r)
	states(t, r)
	if got := states(t, r); !slices.Equal(got, []string{"host2 active"}) {
		t.Errorf("published are %q", got)
	}
	if got := probe(t, i.Addr); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("the health is %v", got)
	}
	if p := s.current().dispatch.Phase(); p != phase.Leaving || p.Refuses() {
		t.Errorf("the phase is %v", p)
	}
	h.withdraw(t.Context(), withdrawTimeout, s)
	if err := s.Drain(t.Context()); err != nil || len(r.published) != 0 {
		t.Errorf("a second withdrawal, or a drain, is published: %v", err)
	}
}

// A change that the registry refused is announced again by the next call.
func TestDrainIsToldAgain(t *testing.T) {
	t.Parallel()
	r := newHandle()
	s := newServer(newHost(t, r), "host1", unchanged)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	states(t, r)
	r.failures <- errAway
	if err := s.Drain(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if got := states(t, r); !slices.Equal(got, []string{"host1 draining"}) {
		t.Errorf("published are %q", got)
	}
}

// If the announcement of a start fails, nothing is left behind, and the error names the server.
func TestUnannouncedServerIsGone(t *testing.T) {
	t.Parallel()
	r := newHandle()
	h := newHost(t, r)
	s := newServer(h, "host1", unchanged)
	r.failures <- &rpc.Error{Kind: rpc.Invalid, Message: "too large"}
	err := s.Start(t.Context())
	if rpc.KindOf(err) != rpc.Invalid || err.Error() != `invalid use: server "host1" on topic "compute" cannot be announced: too large` {
		t.Errorf("got %v", err)
	}
	if _, runs := s.Instance(); runs || h.running(s) != nil || len(h.all()) != 0 {
		t.Error("it is there")
	}
	if got := states(t, r); len(got) != 0 { // in the background
		t.Errorf("published are %q", got)
	}
}

// A mistake in a configuration fails the start before anything listens.
func TestMistakesInConfigurations(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ServerConfig){
		"no server name":             func(c *ServerConfig) { c.Target.Server = "" },
		"no worker":                  func(c *ServerConfig) { c.Limits.Workers = 0 },
		"a negative queue":           func(c *ServerConfig) { c.Limits.Queue = -1 },
		"a negative size":            func(c *ServerConfig) { c.Limits.QueueBytes = -1 },
		"an executor that is not":    func(c *ServerConfig) { c.Executor = "eventlet" },
		"an executor that needs Run": func(c *ServerConfig) { c.Executor = Blocking },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newHandle()
			h := newHost(t, r)
			err := newServer(h, "host1", change).Start(t.Context())
			if kind := rpc.KindOf(err); kind != rpc.Invalid && kind != rpc.InvalidTarget || !rpc.SafeToRetry(err) {
				t.Errorf("got %v", err)
			}
			if len(r.published) != 0 || h.site != nil || len(h.all()) != 0 {
				t.Error("it began to start")
			}
		})
	}
}

// Each start serves the endpoints that were added before. A running server keeps the endpoints with
// which it started.
func TestEndpointsTakeEffectAtTheNextStart(t *testing.T) {
	t.Parallel()
	r := newHandle()
	s := newServer(newHost(t, r), "host1", unchanged)
	for started := range 2 {
		for range 2 {
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Add(endpoint.Endpoint{Namespace: strconv.Itoa(started)})
			i, running := s.Instance()
			if !running || len(i.Implemented) != started {
				t.Errorf("start %d: it implements %v, running %v", started, i.Implemented, running)
			}
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerWithAnUnknownPolicyDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newServer(newHost(t, newHandle()), "host1", func(c *ServerConfig) { c.Policy = dispatch.AllowExposed + 1 })
	if err := s.Start(t.Context()); rpc.KindOf(err) != rpc.Invalid || !strings.Contains(err.Error(), "access policy 3") {
		t.Errorf("got %v", err)
	}
}

// A service that is registered both by an option and by the program counts as registered twice.
func TestServiceIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	register := func(to grpc.ServiceRegistrar) {
		pb.RegisterIntrospectionServiceServer(to, pb.UnimplementedIntrospectionServiceServer{})
	}
	s := newServer(newHost(t, newHandle()), "host1", func(c *ServerConfig) {
		c.Register = append(c.Register, register)
	})
	register(s)
	if err := s.Start(t.Context()); rpc.KindOf(err) != rpc.Invalid || !strings.Contains(err.Error(), `registered twice on server "host1"`) {
		t.Errorf("got %v", err)
	}
}

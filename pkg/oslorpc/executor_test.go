package oslorpc_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestUnknownExecutor(t *testing.T) {
	s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithExecutor("eventlet"))
	for _, start := range []func(context.Context) error{s.Start, s.Run} {
		err := start(t.Context())
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, `"eventlet"`, `"pool"`, `"blocking"`)
	}
}

func TestBlockingServerNeedsRun(t *testing.T) {
	s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithExecutor(oslorpc.ExecutorBlocking))
	err := s.Start(t.Context())
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, "Run")
}

// A blocking server runs one message at a time, in the order of arrival, on the goroutine that
// called Run. It runs all messages that it accepted.
func TestBlockingServer(t *testing.T) {
	var running atomic.Int64
	var order []int // of the one goroutine: the race detector sees any other
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"},
		oslorpc.WithExecutor(oslorpc.ExecutorBlocking), oslorpc.WithHold())
	s.Add(oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{
		"record": oslorpc.Func(func(_ context.Context, args number) (int, error) {
			if running.Add(1) != 1 {
				t.Error("two run at once")
			}
			defer running.Add(-1)
			order = append(order, args.N)
			return args.N, nil
		}),
		"stop": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) { return nil, s.Stop(ctx) }),
	}})
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	c := client(t)
	sent := make(chan error, 1)
	go func() {
		var all []error
		for _, n := range want {
			all = append(all, c.Cast(context.Background(), "record", number{n}))
		}
		all = append(all, c.Cast(context.Background(), "stop", nil), s.Release(context.Background()))
		sent <- errors.Join(all...)
	}()
	if err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if !slices.Equal(order, want) {
		t.Errorf("ran %v", order)
	}
}

// Run of a blocking server continues to run messages while the server stops, and may be called
// again.
func TestBlockingServerStopsWithItsContext(t *testing.T) {
	r := &runRecorder{}
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"},
		oslorpc.WithExecutor(oslorpc.ExecutorBlocking), oslorpc.WithHold())
	s.Add(r.endpoint())
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			// Use the server's own transport: its start waits until the transport has seen the
			// server, so this client has seen it too.
			c := transport.Client(oslorpc.Target{Topic: "agents"})
			for n := range 3 {
				if err := c.Cast(context.Background(), "record", number{n}); err != nil {
					t.Error(err)
				}
			}
			cancel()
		}()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}
	if got := r.recorded(); !slices.Equal(got, []int{0, 1, 2, 0, 1, 2}) {
		t.Errorf("ran %v", got)
	}
}

func TestCustomExecutor(t *testing.T) {
	var given atomic.Int64
	s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithExecutorFunc(func(run func()) {
		given.Add(1)
		go run()
	}))
	a := newAgent("node1")
	s.Add(a.endpoint("1.0"))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := client(t)
	if name, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); name != "node1" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
	if err := errors.Join(c.Cast(t.Context(), "note", nil), s.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	if given.Load() != 2 || a.casts.Load() != 1 {
		t.Errorf("%d were given, and %d casts ran", given.Load(), a.casts.Load())
	}
}

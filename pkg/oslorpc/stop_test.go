package oslorpc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// stubborn has a method that ignores its context.
func stubborn(entered chan<- struct{}, release <-chan struct{}) oslorpc.Endpoint {
	return oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"block": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			entered <- struct{}{}
			<-release
			return nil, nil
		}),
	}}
}

// callInBackground calls a method and returns a channel for the error.
func callInBackground(c *oslorpc.Client, method string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[any](context.Background(), c, method, nil)
		done <- err
	}()
	return done
}

// A forced stop does not wait for a method that ignores its context. A shutdown does not wait
// either, even while another stop waits.
func TestForcedStopOfStubbornMethod(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	transport := open(t)
	s := serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "node1"}, stubborn(entered, release))
	called := callInBackground(client(t), "block")
	<-entered
	patient := make(chan error, 1)
	go func() { patient <- s.Stop(context.Background()) }()
	until(t, "the stop began", func() bool {
		list, err := transport.Instances(t.Context())
		return err == nil && len(list) == 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantKind(t, transport.Shutdown(ctx), oslorpc.Timeout, false)
	wantKind(t, <-patient, oslorpc.Timeout, false)
	wantKind(t, <-called, oslorpc.OutcomeUnknown, false)
	close(release)
}

// A forced stop of one server cancels its methods even if the connection stays open because another
// server is up.
func TestForcedStopBesideAnotherServer(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan error, 1)
	transport := open(t)
	one := serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "one"}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"hang": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			close(entered)
			inner, cancel := context.WithTimeout(ctx, time.Hour) // derived contexts end with it
			defer cancel()
			<-inner.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}),
	}})
	serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "two"}, newAgent("two").endpoint("1.0"))
	c := client(t, oslorpc.WithServer("one"))
	called := callInBackground(c, "hang")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, one.Stop(ctx), oslorpc.Timeout, false)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the method's context ended with %v", err)
	}
	wantKind(t, <-called, oslorpc.Remote, false)
	if got, err := oslorpc.Call[string](t.Context(), c.Prepare(oslorpc.WithServer("two")), "whoami", nil); got != "two" || err != nil {
		t.Errorf("the other server: %v, %v", got, err)
	}
}

// A start during a stop waits for the end of the stop, and then starts the server.
func TestStartDuringStop(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	s := serve(t, "node1", stubborn(entered, release))
	called := callInBackground(client(t), "block")
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	until(t, "the stop began", func() bool {
		return oslorpc.IsNotDelivered(client(t, oslorpc.WithRetry(0)).Cast(t.Context(), "block", nil))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantKind(t, s.Start(ctx), oslorpc.Timeout, true)
	started := make(chan error, 1)
	go func() { started <- s.Start(context.Background()) }()
	close(release)
	if err := errors.Join(<-called, <-stopped, <-started); err != nil {
		t.Error(err)
	}
	if _, running := s.Instance(); !running {
		t.Error("it does not run after the start")
	}
}

// Answers from before the stop are delivered, even to a slow consumer. A watch of the health
// service does not delay the stop.
func TestStopLetsAnswersBeRead(t *testing.T) {
	transport := open(t)
	s := serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	i, _ := s.Instance()
	var options []grpc.DialOption
	conn := dial(t, i.Addr, options...)
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "agents"})
	if err != nil {
		t.Fatal(err)
	}
	if up, err := watch.Recv(); err != nil || up.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("health: %v, %v", up, err)
	}
	stopped := make(chan error, 1)
	n := 0
	for _, err := range oslorpc.Multicall[int](t.Context(), client(t), "count", limit{20}) {
		if err != nil {
			t.Fatalf("after %d items: %v", n, err)
		}
		if n++; n == 1 {
			go func() { stopped <- s.Stop(context.Background()) }()
			until(t, "the stop began", func() bool {
				_, err := watch.Recv()
				return err != nil // it ends with the host
			})
		}
	}
	if err := <-stopped; err != nil || n != 20 {
		t.Errorf("%d of 20 items, %v", n, err)
	}
}

// Close ends running operations, and their errors say what is known about the messages.
func TestCloseEndsRunningOperations(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	serve(t, "node1", stubborn(entered, release))
	transport := open(t)
	called := callInBackground(transport.Client(oslorpc.Target{Topic: "agents"}), "block")
	<-entered
	waiting := callInBackground(transport.Client(oslorpc.Target{Topic: "nobody"}), "x")
	if err := transport.Close(); err != nil {
		t.Error(err)
	}
	wantKind(t, <-called, oslorpc.OutcomeUnknown, false)
	if err := <-waiting; !oslorpc.SafeToRetry(err) {
		t.Errorf("a message that waits: %v", err)
	}
}

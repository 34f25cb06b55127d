package oslorpc_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type monitoredStream = grpc.ServerStreamingServer[pb.MonitoredCallResponse]

// stub is a server that speaks the protocol as the test determines.
type stub struct {
	pb.UnimplementedRPCServiceServer

	monitored func(*pb.MonitoredCallRequest, monitoredStream) error
	asked     atomic.Int64
	ended     chan error // why each stream's context ended, if it did
	grpc      *grpc.Server
}

func (s *stub) MonitoredCall(m *pb.MonitoredCallRequest, stream monitoredStream) error {
	s.asked.Add(1)
	return s.monitored(m, stream)
}

// hang waits until the caller has gone.
func (s *stub) hang(_ *pb.MonitoredCallRequest, stream monitoredStream) error {
	<-stream.Context().Done()
	s.ended <- stream.Context().Err()
	return stream.Context().Err()
}

func heartbeat(t *testing.T, stream monitoredStream) {
	t.Helper()
	if err := stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Heartbeat{}}); err != nil {
		t.Error(err)
	}
}

// start serves the stub and returns a client of the stub.
func (s *stub) start(t *testing.T, options ...oslorpc.ClientOption) *oslorpc.Client {
	t.Helper()
	return clientOf(t, "agents="+s.serve(t), options...)
}

// serve serves the stub and returns its address.
func (s *stub) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ended, s.grpc = make(chan error, 100), grpc.NewServer()
	pb.RegisterRPCServiceServer(s.grpc, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.grpc.Serve(l) })
	t.Cleanup(func() {
		s.grpc.Stop()
		serving.Wait()
	})
	return l.Addr().String()
}

// clientOf returns a client of static addresses.
func clientOf(t *testing.T, addresses string, options ...oslorpc.ClientOption) *oslorpc.Client {
	t.Helper()
	transport, err := oslorpc.Open("static://" + addresses)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transport.Close() })
	return transport.Client(oslorpc.Target{Topic: "agents"}, options...)
}

func monitor(d time.Duration) oslorpc.ClientOption { return oslorpc.WithCallMonitorTimeout(d) }

func TestMonitoredCallIsACall(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	c := client(t, monitor(5*time.Second))
	if got, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); got != "node1" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := oslorpc.Call[int](t.Context(), c, "count", limit{5}); got != 5 || err != nil {
		t.Errorf("the last of a stream: %v, %v", got, err)
	}
	_, err := oslorpc.Call[any](t.Context(), c, "fail", nil)
	wantKind(t, err, oslorpc.Remote, false)
	wantText(t, err, "broken", "fail at")
	_, err = oslorpc.Call[any](t.Context(), c, "nope", nil)
	wantKind(t, err, oslorpc.NoSuchMethod, true)
	_, err = oslorpc.Call[any](t.Context(), c, "add", nil)
	wantKind(t, err, oslorpc.BadArguments, true)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = oslorpc.Call[any](canceled, c, "whoami", nil)
	wantKind(t, err, oslorpc.Canceled, true)
}

func TestMonitoredCallGoesElsewhereWhenRefused(t *testing.T) {
	serve(t, "lacks", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{}})
	serve(t, "has", newAgent("has").endpoint("1.0"))
	c := client(t, monitor(5*time.Second))
	for range 4 {
		if got, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); got != "has" || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

func TestMonitorTimeout(t *testing.T) {
	for name, beats := range map[string]int{"no heartbeat": 0, "heartbeats that stop": 3} {
		t.Run(name, func(t *testing.T) {
			s := &stub{}
			s.monitored = func(m *pb.MonitoredCallRequest, stream monitoredStream) error {
				for range beats {
					heartbeat(t, stream)
				}
				return s.hang(m, stream)
			}
			_, err := oslorpc.Call[any](t.Context(), s.start(t, monitor(300*time.Millisecond)), "m", nil)
			wantKind(t, err, oslorpc.MonitorTimeout, false)
			wantText(t, err, "300ms", "m at")
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, oslorpc.Timeout) || errors.Is(err, context.Canceled) {
				t.Errorf("it does not match what it is: %v", err)
			}
			if ended := <-s.ended; !errors.Is(ended, context.Canceled) {
				t.Errorf("at the server it ended with %v", ended)
			}
			if n := s.asked.Load(); n != 1 {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}

func TestHeartbeatsAskedFor(t *testing.T) {
	for name, test := range map[string]struct{ monitor, interval time.Duration }{
		"half":           {10 * time.Second, 5 * time.Second},
		"below a second": {500 * time.Millisecond, 250 * time.Millisecond},
		"not too often":  {15 * time.Millisecond, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			s := &stub{monitored: func(m *pb.MonitoredCallRequest, stream monitoredStream) error {
				asked.Store(int64(m.GetHeartbeatInterval().AsDuration()))
				return stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: &pb.CallResponse{}}})
			}}
			_, err := oslorpc.Call[any](t.Context(), s.start(t, monitor(test.monitor)), "m", nil)
			if got := time.Duration(asked.Load()); got != test.interval {
				t.Errorf("asked for one every %v, want %v: %v", got, test.interval, err)
			}
		})
	}
}

func TestNoMonitoring(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	for _, d := range []time.Duration{0, -time.Second} {
		c := client(t, monitor(time.Nanosecond)).Prepare(monitor(d))
		if got, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); got != "node1" || err != nil {
			t.Errorf("with %v: %v, %v", d, got, err)
		}
	}
	// All deliveries other than calls ignore this option.
	c := client(t, monitor(time.Nanosecond))
	if err := c.Cast(t.Context(), "note", nil); err != nil {
		t.Error(err)
	}
	if items, err := collect(oslorpc.Multicall[int](t.Context(), c, "count", limit{3})); len(items) != 3 || err != nil {
		t.Errorf("got %v, %v", items, err)
	}
	if report, err := c.Fanout(t.Context(), "note", nil); err != nil || len(report.Accepted) != 1 {
		t.Errorf("got %v, %v", report, err)
	}
}

func TestMonitoredCallWithoutAnOutcome(t *testing.T) {
	s := &stub{monitored: func(_ *pb.MonitoredCallRequest, stream monitoredStream) error {
		heartbeat(t, stream)
		return nil
	}}
	_, err := oslorpc.Call[any](t.Context(), s.start(t, monitor(5*time.Second)), "m", nil)
	wantKind(t, err, oslorpc.OutcomeUnknown, false)
	wantText(t, err, "without a reply")

	s = &stub{}
	s.monitored = func(m *pb.MonitoredCallRequest, stream monitoredStream) error {
		go s.grpc.Stop()
		return s.hang(m, stream)
	}
	_, err = oslorpc.Call[any](t.Context(), s.start(t, monitor(5*time.Second)), "m", nil)
	wantKind(t, err, oslorpc.OutcomeUnknown, false)
}

// TestMonitoredCallsLeaveNothing abandons half of the calls while they run. After that, no
// goroutine is left, and therefore no ticker and no stream, although the connection still exists.
func TestMonitoredCallsLeaveNothing(t *testing.T) {
	const callers, calls = 50, 200            // each
	started := make([]chan struct{}, callers) // a signal that went to another caller would cancel a call that was not sent yet
	var ended atomic.Int64
	serve(t, "node1", newAgent("node1").endpoint("1.0"), oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"wait": oslorpc.Func(func(ctx context.Context, caller limit) (any, error) {
			started[caller.N] <- struct{}{}
			<-ctx.Done()
			ended.Add(1)
			return nil, ctx.Err()
		}),
	}})
	c := client(t, monitor(10*time.Second), oslorpc.WithTimeout(time.Minute))
	if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	var calling sync.WaitGroup
	for n := range callers {
		started[n] = make(chan struct{})
		calling.Go(func() {
			for range calls / 2 {
				if t.Failed() {
					return
				}
				if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
					t.Error(err)
				}
				abandon(t, c, n, started[n])
			}
		})
	}
	calling.Wait()
	until(t, "all methods have ended", func() bool { return ended.Load() == callers*calls/2 })
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// abandon calls a method that waits, and gives up when the method has started.
func abandon(t *testing.T, c *oslorpc.Client, n int, started <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-started
		cancel()
	}()
	_, err := oslorpc.Call[any](ctx, c, "wait", limit{n})
	wantKind(t, err, oslorpc.Canceled, false)
}

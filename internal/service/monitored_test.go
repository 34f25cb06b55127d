package service

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/payload"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func monitoredRequest(interval *durationpb.Duration) *pb.MonitoredCallRequest {
	return &pb.MonitoredCallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Kwargs: asJSON("{}")}, HeartbeatInterval: interval}
}

// beats receives n heartbeats.
func beats(t *testing.T, stream grpc.ServerStreamingClient[pb.MonitoredCallResponse], n int) {
	t.Helper()
	for range n {
		if m, err := stream.Recv(); err != nil || m.GetHeartbeat() == nil {
			t.Fatalf("got %v, %v, want a heartbeat", m, err)
		}
	}
}

func TestHeartbeatsComeWhileTheMessageWaitsAndRuns(t *testing.T) {
	t.Parallel()
	g := newGate()
	f := serve(t, newServerOf(t, "q", "net1", dispatch.Limits{Workers: 1, Queue: 1, QueueBytes: 100}, dispatch.Endpoint{
		Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods{"foo": g.method()},
	}))
	if _, err := f.Cast(t.Context(), &pb.CastRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}}); err != nil {
		t.Fatal(err)
	}
	<-g.entered
	stream, err := f.MonitoredCall(t.Context(), monitoredRequest(durationpb.New(minHeartbeat)))
	if err != nil {
		t.Fatal(err)
	}
	beats(t, stream, 3) // waiting
	g.open <- struct{}{}
	<-g.entered
	beats(t, stream, 3) // running
	g.open <- struct{}{}
	all, err := drain(stream)
	if err != nil {
		t.Fatal(err)
	}
	last := all[len(all)-1].GetResponse()
	if _, got := encoding(t, last.GetResult()); got != `"done"` {
		t.Errorf("got %v", last)
	}
	for _, m := range all[:len(all)-1] {
		if m.GetHeartbeat() == nil {
			t.Errorf("before the response came %v", m)
		}
	}
}

func TestHeartbeatsEndWithAnError(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": function(func(context.Context, struct{}) (any, error) {
		return nil, errors.New("broken")
	})}))
	request := monitoredRequest(durationpb.New(minHeartbeat))
	_, response, err := f.monitored(t.Context(), request)
	check(t, err, rpc.Remote, false, "broken")
	request.Message.Method = "bar"
	_, _, err = f.monitored(t.Context(), request)
	check(t, err, rpc.NoSuchMethod, true)
	if response != nil {
		t.Errorf("there is a response: %v", response)
	}
}

// sink is a stream whose other end is the test.
type sink struct {
	grpc.ServerStreamingServer[pb.MonitoredCallResponse]

	ctx  context.Context
	sent []*pb.MonitoredCallResponse
	err  error
}

func (s *sink) SetHeader(metadata.MD) error { return nil }

func (s *sink) Context() context.Context { return s.ctx }

func (s *sink) Send(m *pb.MonitoredCallResponse) error {
	if s.err == nil {
		s.sent = append(s.sent, m)
	}
	return s.err
}

// sleeper returns a process with a method foo that takes a given time.
func sleeper(t *testing.T, long time.Duration) *Services {
	t.Helper()
	return New(newIntake(nil, newServer(t, "q", "net1", methods{"foo": function(func(ctx context.Context, _ payload.Raw) (any, error) {
		select {
		case <-time.After(long):
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})})))
}

func TestHeartbeatIntervals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		interval *durationpb.Duration
		long     time.Duration
		want     int
	}{
		{"as asked for", durationpb.New(300 * time.Millisecond), time.Second, 3},
		{"a second if absent", nil, 3500 * time.Millisecond, 3},
		{"not more often than is of use", durationpb.New(time.Millisecond), 95 * time.Millisecond, 9},
		{"zero", &durationpb.Duration{}, 95 * time.Millisecond, 9},
		{"negative", durationpb.New(-time.Second), 95 * time.Millisecond, 9},
		{"beyond what a clock can count", &durationpb.Duration{Seconds: 1 << 62}, time.Hour, 0},
		{"none before the first is due", nil, 999 * time.Millisecond, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stream := &sink{ctx: t.Context()}
				if err := sleeper(t, test.long).MonitoredCall(monitoredRequest(test.interval), stream); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour) // nothing follows
				if got := len(stream.sent) - 1; got != test.want {
					t.Errorf("%d heartbeats came, want %d", got, test.want)
				}
				if stream.sent[len(stream.sent)-1].GetResponse() == nil {
					t.Error("the last message is not the response")
				}
			})
		})
	}
}

func TestHeartbeatsEndWhenTheCallerHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stream := &sink{ctx: ctx, err: io.ErrClosedPipe}
		err := sleeper(t, time.Hour).MonitoredCall(monitoredRequest(nil), stream)
		check(t, err, rpc.Timeout, false, "the deadline passed while the method ran")
	})
}

// A method may exit its goroutine. The heartbeats to its caller must end then.
func TestHeartbeatsEndWithTheGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		services := New(newIntake(nil, newServer(t, "q", "net1", methods{"foo": function(func(context.Context, payload.Raw) (any, error) {
			runtime.Goexit()
			return nil, nil
		})})))
		stream := &sink{ctx: t.Context()}
		go func() { _ = services.MonitoredCall(monitoredRequest(nil), stream) }()
		time.Sleep(time.Minute)
		if len(stream.sent) != 0 {
			t.Errorf("%d messages were sent", len(stream.sent))
		}
	})
}

package oslorpc_test

import (
	"context"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// waiter has methods that wait for the end of their contexts.
type waiter struct {
	v1.UnimplementedInventoryServiceServer

	casts chan bool // whether the context of a cast has a deadline
}

func (waiter) Wait(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func (waiter) Items(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		yield(1, nil)
		<-ctx.Done()
	}
}

func (w waiter) Note(ctx context.Context) error {
	_, has := ctx.Deadline()
	w.casts <- has
	return nil
}

func (w waiter) GetVolume(ctx context.Context, _ *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (w waiter) ReportUsage(ctx context.Context, _ *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, w.Note(ctx)
}

func (w waiter) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

// waiting starts a server with a time limit, and returns a client that waits longer.
func waiting(t *testing.T, limit time.Duration) (*oslorpc.Client, waiter, string) {
	t.Helper()
	transport, err := oslorpc.Open("memory://"+strings.ReplaceAll(t.Name(), "/", "-"), oslorpc.WithLimits(rpc.Limits{CallTime: limit}), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	w := waiter{casts: make(chan bool, 1)}
	s := transport.Server(oslorpc.Target{Topic: "waiters", Server: "w"}, oslorpc.WithWorkers(4))
	s.Add(oslorpc.Endpoint{Version: "1.1", Methods: map[string]oslorpc.Method{
		"wait":  oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) { return w.Wait(ctx) }),
		"items": oslorpc.Stream(func(ctx context.Context, _ oslorpc.NoArgs) iter.Seq2[int, error] { return w.Items(ctx) }),
		"note":  oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) { return nil, w.Note(ctx) }),
	}})
	v1.RegisterInventoryServiceServer(s, w)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	return transport.Client(oslorpc.Target{Topic: "waiters", Version: "1.1"}, oslorpc.WithTimeout(time.Minute)), w, i.Addr
}

// waits are the ways to wait for a method that never returns by itself.
func waits(c *oslorpc.Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"call": func(ctx context.Context) error {
			_, err := oslorpc.Call[string](ctx, c, "wait", nil)
			return err
		},
		"monitored call": func(ctx context.Context) error {
			_, err := oslorpc.Call[string](ctx, c.Prepare(oslorpc.WithCallMonitorTimeout(30*time.Second)), "wait", nil)
			return err
		},
		"multicall": func(ctx context.Context) (err error) {
			for _, err = range oslorpc.Multicall[int](ctx, c, "items", nil) {
			}
			return err
		},
		"typed call": func(ctx context.Context) error {
			_, err := v1.NewInventoryServiceClient(c).GetVolume(ctx, &v1.GetVolumeRequest{})
			return err
		},
		"typed stream": func(ctx context.Context) error {
			stream, err := v1.NewInventoryServiceClient(c).WatchVolumes(ctx, &v1.WatchVolumesRequest{})
			for err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	}
}

// A server ends a method that exceeds its time limit, and says so. Casts have no such limit.
func TestCallTime(t *testing.T) {
	c, w, addr := waiting(t, 30*time.Millisecond)
	const says = "the time that the server gives a message (CallTime, 30ms) passed"
	for name, wait := range waits(c) {
		if err := wait(t.Context()); rpc.KindOf(err) != rpc.Timeout || rpc.SafeToRetry(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %s: %v", name, rpc.KindOf(err).Name(), err)
		}
	}
	for name, cast := range map[string]func() error{
		"cast": func() error { return c.Cast(t.Context(), "note", nil) },
		"typed cast": func() error {
			_, err := v1.NewInventoryServiceClient(c).ReportUsage(t.Context(), &v1.ReportUsageRequest{})
			return err
		},
	} {
		if err := cast(); err != nil || <-w.casts {
			t.Errorf("the %s has a deadline, or failed: %v", name, err)
		}
	}

	// This is a program without oslorpc, and without a deadline.
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	topic, version := "waiters", "1.1"
	request := &pb.CallRequest{Message: &pb.Message{Target: &pb.Target{Topic: &topic, Version: &version}, Method: "wait"}}
	if _, err := pb.NewRPCServiceClient(conn).Call(t.Context(), request); status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v", err)
	}
}

// The earlier of deadline and limit counts. There is no limit by default.
func TestCallTimeAndDeadline(t *testing.T) {
	for name, limit := range map[string]time.Duration{"later": time.Hour, "none": 0} {
		t.Run(name, func(t *testing.T) {
			c, _, _ := waiting(t, limit)
			for way, wait := range waits(c) {
				ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
				if err := wait(ctx); rpc.KindOf(err) != rpc.Timeout || strings.Contains(err.Error(), "CallTime") {
					t.Errorf("%s: got %s: %v", way, rpc.KindOf(err).Name(), err)
				}
				cancel()
			}
		})
	}
}

package oslorpc_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// quitter has methods that call runtime.Goexit.
type quitter struct{}

func (quitter) Quit(context.Context) (string, error) {
	runtime.Goexit()
	return "", nil
}

func (quitter) Items(context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		yield(1, nil)
		runtime.Goexit()
	}
}

func (quitter) Whoami(context.Context) (string, error) { return "net1", nil }

// quitterService is the typed counterpart.
type quitterService struct {
	v1.UnimplementedInventoryServiceServer
}

func (quitterService) ResizeVolume(context.Context, *v1.ResizeVolumeRequest) (*v1.ResizeVolumeResponse, error) {
	runtime.Goexit()
	return nil, nil
}

func (quitterService) ReportUsage(context.Context, *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	runtime.Goexit()
	return nil, nil
}

func (quitterService) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	if err := stream.Send(&v1.WatchVolumesResponse{Name: "a"}); err != nil {
		return err
	}
	runtime.Goexit()
	return nil
}

func (quitterService) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	runtime.Goexit()
	return nil
}

// wantExited checks that err says that a method exited its goroutine.
func wantExited(t *testing.T, err error) {
	t.Helper()
	wantKind(t, err, oslorpc.Remote, false)
	wantText(t, err, "runtime.Goexit")
	if r, ok := errors.AsType[*oslorpc.RemoteError](err); !ok || r.Type != "runtime.Goexit" || len(r.Stack) == 0 {
		t.Errorf("the remote error is %+v", r)
	}
}

// A method that exits its goroutine fails at once, whatever the kind of message and wherever
// methods run. The server goes on, even with more such messages than it has workers and than gRPC
// has worker goroutines.
func TestMethodThatEndsItsGoroutine(t *testing.T) {
	executors := map[string][]oslorpc.ServerOption{
		"pool":      {oslorpc.WithWorkers(2)},
		"in place":  {oslorpc.WithWorkers(2), oslorpc.WithExecutorFunc(func(run func()) { run() })},
		"elsewhere": {oslorpc.WithWorkers(2), oslorpc.WithExecutorFunc(func(run func()) { go run() })},
	}
	for name, options := range executors {
		t.Run(name, func(t *testing.T) {
			var log logged
			s := open(t, oslorpc.WithLogger(log.logger())).Server(oslorpc.Target{Topic: "agents", Server: "net1"}, options...)
			s.Add(oslorpc.Endpoint{Struct: oslorpc.Methods(quitter{})}, oslorpc.Endpoint{
				Namespace: "any", Fallback: oslorpc.Func(func(context.Context, oslorpc.Raw) (any, error) {
					runtime.Goexit()
					return nil, nil
				}),
			})
			v1.RegisterInventoryServiceServer(s, quitterService{})
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := client(t, oslorpc.WithTimeout(time.Minute))
			for method, do := range quittings(t.Context(), c) {
				for range 10 {
					wantExited(t, do())
				}
				if t.Failed() {
					t.Fatalf("that was %s", method)
				}
			}
			for range 10 {
				if err := errors.Join(c.Cast(t.Context(), "quit", nil), usage(t.Context(), c)); err != nil {
					t.Error(err)
				}
			}
			if me, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); me != "net1" || err != nil {
				t.Errorf("afterwards: %q, %v", me, err)
			}
			const equal = 5 // lines are logged in a row
			until(t, "it was logged", func() bool { return log.count("method ended its goroutine") >= equal })
		})
	}
}

// quittings are calls of all kinds of methods that exit their goroutines.
func quittings(ctx context.Context, c *oslorpc.Client) map[string]func() error {
	stub := v1.NewInventoryServiceClient(c)
	call := func(c *oslorpc.Client, method string) func() error {
		return func() error {
			_, err := oslorpc.Call[any](ctx, c, method, nil)
			return err
		}
	}
	return map[string]func() error{
		"call":      call(c, "quit"),
		"monitored": call(c.Prepare(oslorpc.WithCallMonitorTimeout(20*time.Second)), "quit"),
		"stream":    call(c, "items"),
		"fallback":  call(c.Prepare(oslorpc.WithNamespace("any")), "quit"),
		"multicall": func() error {
			for _, err := range oslorpc.Multicall[int](ctx, c, "items", nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"gather": func() error {
			for _, err := range oslorpc.Gather[any](ctx, c, "quit", nil) {
				return err
			}
			return nil
		},
		"typed call": func() error {
			_, err := stub.ResizeVolume(ctx, &v1.ResizeVolumeRequest{})
			return err
		},
		"typed server stream": func() error {
			stream, err := stub.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
			for err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"typed bidirectional stream": func() error {
			stream, err := stub.SyncVolumes(ctx)
			if err == nil {
				err = stream.Send(&v1.SyncVolumesRequest{})
			}
			for err == nil || errors.Is(err, io.EOF) {
				_, err = stream.Recv()
			}
			return err
		},
	}
}

func usage(ctx context.Context, c *oslorpc.Client) error {
	_, err := v1.NewInventoryServiceClient(c).ReportUsage(ctx, &v1.ReportUsageRequest{})
	return err
}

// A method of a blocking server that exits its goroutine exits the goroutine of Run. The caller
// gets an error, the server stops, and the messages that it accepted run.
func TestMethodThatEndsTheGoroutineOfRun(t *testing.T) {
	ran := make(chan int, 10)
	s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "net1"},
		oslorpc.WithExecutor(oslorpc.ExecutorBlocking), oslorpc.WithHold())
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"quit": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			runtime.Goexit()
			return nil, nil
		}),
		"note": oslorpc.Func(func(_ context.Context, args number) (any, error) {
			ran <- args.N
			return nil, nil
		}),
	}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(t.Context())
		t.Error("Run returned")
	}()
	c := client(t, oslorpc.WithTimeout(time.Minute))
	exited := make(chan error, 1)
	if err := c.Cast(t.Context(), "quit", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Cast(t.Context(), "note", number{1}); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := oslorpc.Call[any](context.Background(), c, "quit", nil)
		exited <- err
	}()
	until(t, "all wait", func() bool { return queued(t, open(t), s) == 3 })
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantExited(t, <-exited)
	<-ended
	s.Wait()
	if len(ran) != 1 {
		t.Errorf("%d of 1 ran", len(ran))
	}
}

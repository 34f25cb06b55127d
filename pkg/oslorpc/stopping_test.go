package oslorpc_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// holder has a typed method of each kind. Each runs until hold returns, and then returns as if it
// had finished.
type holder struct {
	v1.UnimplementedInventoryServiceServer

	hold   func(ctx context.Context)
	failed chan error // why a stream could not be read, or written
}

// dynamicHolder has the methods of an endpoint.
type dynamicHolder struct{ hold func(ctx context.Context) }

func (h dynamicHolder) Hold(ctx context.Context) (string, error) {
	h.hold(ctx)
	return "held", nil
}

func (h dynamicHolder) Items(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if yield(1, nil) {
			h.hold(ctx)
		}
	}
}

func (h *holder) CreateVolume(ctx context.Context, _ *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	h.hold(ctx)
	return &v1.CreateVolumeResponse{}, nil
}

func (h *holder) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	if err := stream.Send(&v1.WatchVolumesResponse{Name: "a"}); err != nil {
		return err
	}
	h.hold(stream.Context())
	return nil
}

func (h *holder) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	h.hold(stream.Context())
	return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: 1})
}

// SyncVolumes answers each message and ignores its context.
func (h *holder) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	for {
		request, err := stream.Recv()
		if err == nil {
			err = stream.Send(&v1.SyncVolumesResponse{Name: request.GetName()})
		}
		if err != nil {
			h.failed <- err
			return nil //nolint:nilerr // It is to look whole.
		}
	}
}

// serveHolder starts a server with a holder, and another server that keeps the connections open.
func serveHolder(t *testing.T, transport *oslorpc.Transport, hold func(context.Context)) (*oslorpc.Server, *holder) {
	t.Helper()
	h := &holder{hold: hold, failed: make(chan error, 10)}
	s := transport.Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
	s.Add(oslorpc.Endpoint{Struct: oslorpc.Methods(dynamicHolder{hold})})
	v1.RegisterInventoryServiceServer(s, h)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	serveOn(t, transport, oslorpc.Target{Topic: "other", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	return s, h
}

// streamKinds opens a stream of each kind, passes one message, and returns a function that reads
// the rest of the stream.
func streamKinds(ctx context.Context, c *oslorpc.Client) map[string]func() (rest func() error, err error) {
	stub := v1.NewInventoryServiceClient(c)
	return map[string]func() (func() error, error){
		"multicall": func() (func() error, error) {
			next, stop := iter.Pull2(oslorpc.Multicall[int](ctx, c, "items", nil))
			_, err, _ := next()
			return func() error {
				defer stop()
				_, err, _ := next()
				return err
			}, err
		},
		"server stream": func() (func() error, error) {
			stream, err := stub.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
			if err != nil {
				return nil, err
			}
			_, err = stream.Recv()
			return func() error {
				_, err := stream.Recv()
				return unlessEOF(err)
			}, err
		},
		"client stream": func() (func() error, error) {
			stream, err := stub.ImportVolumes(ctx)
			if err != nil {
				return nil, err
			}
			return func() error {
				_, err := stream.CloseAndRecv()
				return err
			}, stream.Send(&v1.ImportVolumesRequest{Name: "a"})
		},
		"bidirectional stream": func() (func() error, error) {
			stream, err := stub.SyncVolumes(ctx)
			if err != nil {
				return nil, err
			}
			err = stream.Send(&v1.SyncVolumesRequest{Name: "a"})
			if err == nil {
				_, err = stream.Recv()
			}
			return func() error {
				_, err := stream.Recv()
				return unlessEOF(err)
			}, err
		},
	}
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// A stream that a forced stop cuts does not look complete, even if the method returns without an
// error when its context ends, and even if the connection stays open.
func TestForcedStopCutsStreams(t *testing.T) {
	for kind := range streamKinds(t.Context(), client(t)) {
		t.Run(kind, func(t *testing.T) {
			s, h := serveHolder(t, open(t), func(ctx context.Context) { <-ctx.Done() })
			c := open(t).Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(time.Minute))
			rest, err := streamKinds(t.Context(), c)[kind]()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if kind == "client stream" {
				until(t, "its method runs", func() bool { return running(t, s) == 1 })
			}
			wantKind(t, s.Stop(ctx), oslorpc.Timeout, false)
			wantKind(t, rest(), oslorpc.OutcomeUnknown, false)
			if kind == "bidirectional stream" {
				if err := <-h.failed; errors.Is(err, io.EOF) {
					t.Error("its method took it for whole")
				}
			}
		})
	}
}

// running returns the number of methods that a server runs.
func running(t *testing.T, s *oslorpc.Server) int64 {
	t.Helper()
	i, _ := s.Instance()
	info, err := open(t).Info(t.Context(), i)
	if err != nil || len(info.Servers) != 1 {
		t.Fatalf("info: %v, %v", info, err)
	}
	return info.Servers[0].Running
}

// Methods of all kinds learn that their server stops, and return before the stop is forced.
func TestStopping(t *testing.T) {
	if oslorpc.Stopping(t.Context()) != nil {
		t.Error("a context that belongs to no method has a channel")
	}
	held := make(chan struct{}, 10)
	s, _ := serveHolder(t, open(t), func(ctx context.Context) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		select {
		case <-oslorpc.Stopping(ctx):
			t.Error("the server stops already")
		default:
		}
		held <- struct{}{}
		select {
		case <-oslorpc.Stopping(derived):
		case <-ctx.Done():
			t.Error("it had to be ended by force")
		}
	})
	c := open(t).Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(time.Minute))
	ended := make(chan error, 10)
	go func() {
		_, err := oslorpc.Call[string](t.Context(), c, "hold", nil)
		ended <- err
	}()
	go func() {
		_, err := v1.NewInventoryServiceClient(c).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
		ended <- err
	}()
	if err := c.Cast(t.Context(), "hold", nil); err != nil {
		t.Fatal(err)
	}
	for kind, begin := range streamKinds(t.Context(), c) {
		if kind == "bidirectional stream" { // its method does not care
			continue
		}
		rest, err := begin()
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- rest() }()
	}
	for range 6 {
		<-held
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for range 5 { // all but the cast
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Run returns within a known time, even if a caller keeps a stream open or a method does not
// return.
func TestRunStopsInTime(t *testing.T) {
	for name, test := range map[string]struct {
		options  []oslorpc.TransportOption
		stubborn bool
		want     time.Duration
	}{
		"by default":               {nil, false, 25 * time.Second},
		"a stubborn method":        {nil, true, 27 * time.Second},
		"an option":                {[]oslorpc.TransportOption{oslorpc.WithStopTimeout(time.Minute)}, false, time.Minute},
		"without bound, two hours": {[]oslorpc.TransportOption{oslorpc.WithStopTimeout(0)}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := oslorpctest.New(t)
				release, causes := make(chan struct{}), make(chan error, 1)
				h := &holder{hold: func(ctx context.Context) {
					select {
					case <-ctx.Done():
						causes <- context.Cause(ctx)
					case <-release:
						return
					}
					if test.stubborn {
						<-release
					}
				}}
				s := f.Transport(append(test.options, oslorpc.WithStopGrace(0))...).Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
				v1.RegisterInventoryServiceServer(s, h)
				running, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(running) }()
				synctest.Wait()
				stream, err := v1.NewInventoryServiceClient(f.Client(oslorpc.Target{}, oslorpc.WithTimeout(3*time.Hour))).
					WatchVolumes(t.Context(), &v1.WatchVolumesRequest{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				stop()
				if test.want == 0 {
					time.Sleep(2 * time.Hour)
					close(release)
					if err := <-ended; err != nil || time.Since(began) < 2*time.Hour {
						t.Errorf("after %v: %v", time.Since(began), err)
					}
					return
				}
				err = <-ended
				wantKind(t, err, oslorpc.Timeout, false)
				if took := time.Since(began).Round(time.Second); took != test.want {
					t.Errorf("it took %v, want %v", took, test.want)
				}
				wantText(t, <-causes, "node1", "stopped by force")
				_, err = stream.Recv()
				wantKind(t, err, oslorpc.OutcomeUnknown, false)
				close(release)
			})
		})
	}
}

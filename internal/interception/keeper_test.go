package interception

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// marker is in each text that no peer may see, and in the names of types and methods.
const marker = "Hush"

// hushError is an error of a type that is not registered.
type hushError struct{ text string }

func (e *hushError) Error() string { return e.text }

// tellError is an error of a registered type.
type tellError struct {
	Volume string `json:"volume"`
}

func (e *tellError) Error() string { return "there is no volume " + e.Volume }

var errAnswer = errors.New("the volume is busy")

// keeper has dynamic and typed methods that all fail in the same way.
type keeper struct {
	v1.UnimplementedInventoryServiceServer

	fail func() error
}

func (k *keeper) WhoHush(context.Context, struct{}) (string, error) { return "", k.fail() }

func (k *keeper) count(context.Context, struct{}) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) { yield(0, k.fail()) }
}

// GetVolume implements the service.
func (k *keeper) GetVolume(context.Context, *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	return nil, k.fail()
}

// ReportUsage implements the service.
func (k *keeper) ReportUsage(context.Context, *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	return nil, k.fail()
}

// WatchVolumes implements the service.
func (k *keeper) WatchVolumes(*v1.WatchVolumesRequest, grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	return k.fail()
}

// ImportVolumes implements the service.
func (k *keeper) ImportVolumes(grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	return k.fail()
}

// SyncVolumes implements the service.
func (k *keeper) SyncVolumes(grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	return k.fail()
}

// serverLog is the log of a server.
type serverLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// keep starts a server whose methods fail, and connects to it with plain gRPC.
func keep(t *testing.T, fail func() error, hide trust.Hidden, interceptors ...oslorpc.Interceptor) (*grpc.ClientConn, *serverLog) {
	t.Helper()
	log := &serverLog{}
	transport, err := oslorpc.Open("memory://"+strings.ReplaceAll(t.Name(), "/", "-"), oslorpc.WithTrust(trust.Config{Hide: hide}), oslorpc.WithStopGrace(0),
		oslorpc.WithErrorType[*tellError]("volumes.NotFound"), oslorpc.WithInterceptors(interceptors...),
		oslorpc.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	k := &keeper{fail: fail}
	s := transport.Server(oslorpc.Target{Topic: topic, Server: "node1"})
	s.Add(oslorpc.Endpoint{Version: "1.1", Methods: map[string]oslorpc.Method{
		"who_hush": oslorpc.Func(k.WhoHush).Expect(errAnswer), "count_hush": oslorpc.Stream(k.count).Expect(errAnswer),
		"read_hush":  oslorpc.Func(func(context.Context, readHush) (any, error) { return true, nil }),
		"write_hush": oslorpc.Func(func(context.Context, struct{}) (any, error) { return unwritableHush{}, nil }),
	}}, oslorpc.Endpoint{Namespace: "admin_hush", Version: "1.0", Methods: map[string]oslorpc.Method{"x": oslorpc.Func(k.WhoHush)}})
	v1.RegisterInventoryServiceServer(s, k)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	conn, err := grpc.NewClient("passthrough:///"+i.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, log
}

// readHush has a field with its own decoding.
type readHush struct {
	Level levelHush `json:"level"`
}

type levelHush struct{}

// UnmarshalJSON refuses everything.
func (*levelHush) UnmarshalJSON([]byte) error { return errors.New("not in tableHush") }

// unwritableHush cannot be encoded as JSON.
type unwritableHush struct{}

// MarshalJSON fails.
func (unwritableHush) MarshalJSON() ([]byte, error) { return nil, errors.New("no tableHush") }

// asked is a way for a plain gRPC client to send a message and get the outcome.
type asked struct {
	name string
	send func(ctx context.Context, c grpc.ClientConnInterface) (md metadata.MD, err error)
}

func raw(method, kwargs string) *pb.Message {
	return &pb.Message{Target: &pb.Target{Topic: new(string(topic)), Version: new("1.1")}, Method: method, Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: kwargs}}}
}

// last receives until a stream ends.
func last[T any](stream grpc.ServerStreamingClient[T], err error) (metadata.MD, error) {
	for err == nil {
		_, err = stream.Recv()
	}
	if stream == nil {
		return nil, err
	}
	return stream.Trailer(), err
}

func deliveries() []asked {
	typed := func(c grpc.ClientConnInterface) v1.InventoryServiceClient { return v1.NewInventoryServiceClient(c) }
	return []asked{
		{"call", func(ctx context.Context, c grpc.ClientConnInterface) (md metadata.MD, err error) {
			_, err = pb.NewRPCServiceClient(c).Call(ctx, &pb.CallRequest{Message: raw("who_hush", "{}")}, grpc.Trailer(&md))
			return md, err
		}},
		{"monitored call", func(ctx context.Context, c grpc.ClientConnInterface) (metadata.MD, error) {
			return last(pb.NewRPCServiceClient(c).MonitoredCall(ctx, &pb.MonitoredCallRequest{
				Message: raw("who_hush", "{}"), HeartbeatInterval: durationpb.New(time.Second),
			}))
		}},
		{"multicall", func(ctx context.Context, c grpc.ClientConnInterface) (metadata.MD, error) {
			return last(pb.NewRPCServiceClient(c).Multicall(ctx, &pb.MulticallRequest{Message: raw("count_hush", "{}")}))
		}},
		{"typed unary", func(ctx context.Context, c grpc.ClientConnInterface) (md metadata.MD, err error) {
			_, err = typed(c).GetVolume(ctx, &v1.GetVolumeRequest{Name: "a"}, grpc.Trailer(&md))
			return md, err
		}},
		{"typed server stream", func(ctx context.Context, c grpc.ClientConnInterface) (metadata.MD, error) {
			return last(typed(c).WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: "a"}))
		}},
		{"typed client stream", func(ctx context.Context, c grpc.ClientConnInterface) (metadata.MD, error) {
			stream, err := typed(c).ImportVolumes(ctx)
			if err == nil {
				_, err = stream.CloseAndRecv()
			}
			return stream.Trailer(), err
		}},
		{"typed stream both ways", func(ctx context.Context, c grpc.ClientConnInterface) (metadata.MD, error) {
			stream, err := typed(c).SyncVolumes(ctx)
			if err == nil {
				_, err = stream.Recv()
			}
			return stream.Trailer(), err
		}},
	}
}

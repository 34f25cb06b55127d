package clienttest

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
)

type none = struct{}

// count asks a method for n items.
type count struct {
	N int `json:"n"`
}

// methods are the dynamic methods of a server.
func (s *server) methods() map[string]endpoint.Method {
	return map[string]endpoint.Method{
		// echo returns its arguments. name returns the name of the server.
		"echo": endpoint.Func(func(_ context.Context, args payload.Raw) (payload.Raw, error) {
			s.begin("echo")
			return args, nil
		}),
		"name": endpoint.Func(func(context.Context, payload.Raw) (string, error) {
			s.begin("name")
			return s.name, nil
		}),
		"context": endpoint.Func(func(ctx context.Context, _ none) (map[string]any, error) { return msgcontext.Dict(ctx), nil }),
		"fail": endpoint.Func(func(context.Context, none) (any, error) {
			s.begin("fail")
			return nil, errors.New("it failed")
		}),
		// wait returns when the gate opens. hang returns when its context ends.
		"wait": endpoint.Func(func(ctx context.Context, _ none) (string, error) {
			s.begin("wait")
			select {
			case <-s.gate:
				return s.name, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}),
		"hang": endpoint.Func(func(ctx context.Context, _ none) (any, error) {
			s.begin("hang")
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		"items": s.items(),
		"stall": s.stall(),
	}
}

// items yields the given number of items.
func (s *server) items() endpoint.Method {
	return endpoint.Stream(func(_ context.Context, args count) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			s.begin("items")
			for i := range args.N {
				if !yield(i, nil) {
					return
				}
			}
		}
	})
}

// stall yields one item and then hangs.
func (s *server) stall() endpoint.Method {
	return endpoint.Stream(func(ctx context.Context, _ none) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			s.begin("stall")
			if yield(1, nil) {
				<-ctx.Done()
				yield(0, ctx.Err())
			}
		}
	})
}

// inventory is the typed service of a server.
type inventory struct {
	v1.UnimplementedInventoryServiceServer
	server *server
}

// got records the message that a method got.
func (i *inventory) got(method string, message proto.Message) {
	i.server.begin(method)
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	i.server.typed = append(i.server.typed, proto.Clone(message))
}

// CreateVolume returns the name of the server.
func (i *inventory) CreateVolume(_ context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	i.got("CreateVolume", r)
	return &v1.CreateVolumeResponse{Name: i.server.name}, nil
}

// ReportUsage is called as a cast.
func (i *inventory) ReportUsage(_ context.Context, r *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	i.got("ReportUsage", r)
	return &emptypb.Empty{}, nil
}

// InvalidateCache is called as a fanout.
func (i *inventory) InvalidateCache(_ context.Context, r *v1.InvalidateCacheRequest) (*emptypb.Empty, error) {
	i.got("InvalidateCache", r)
	return &emptypb.Empty{}, nil
}

// ImportVolumes counts the messages that it gets.
func (i *inventory) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	n := int64(0)
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: n})
		}
		if err != nil {
			return err
		}
		i.got("ImportVolumes", r)
		n++
	}
}

// WatchVolumes sends three events.
func (i *inventory) WatchVolumes(r *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	i.got("WatchVolumes", r)
	for range 3 {
		if err := stream.Send(&v1.WatchVolumesResponse{Name: i.server.name}); err != nil {
			return err
		}
	}
	return nil
}

// SyncVolumes answers each message.
func (i *inventory) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		i.got("SyncVolumes", r)
		if err := stream.Send(&v1.SyncVolumesResponse{Name: r.GetName()}); err != nil {
			return err
		}
	}
}

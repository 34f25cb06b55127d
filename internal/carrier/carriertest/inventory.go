package carriertest

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
)

// inventory is the typed service of the server. The names in the messages tell the methods what to
// do.
type inventory struct {
	v1.UnimplementedInventoryServiceServer

	server *server
}

func (i inventory) GetVolume(ctx context.Context, r *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	reply := &v1.GetVolumeResponse{}
	err := i.server.act(ctx, r.GetName(), 0, func(item string) error {
		reply.Name = item
		return nil
	})
	return reply, bare(err)
}

// ReportUsage is called as a cast.
func (i inventory) ReportUsage(ctx context.Context, r *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, bare(i.server.act(ctx, r.GetName(), 0, func(string) error { return nil }))
}

// WatchVolumes sends a stream.
func (i inventory) WatchVolumes(r *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	return bare(i.server.act(stream.Context(), r.GetPrefix(), int(r.GetRevision()), func(item string) error {
		return stream.Send(&v1.WatchVolumesResponse{Name: item})
	}))
}

// ImportVolumes reads a stream. The first message tells what the method does after that.
func (i inventory) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	i.server.begin(stream.Context())
	n := 0
	for ; ; n++ {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		i.server.took.Add(1)
		if n > 0 {
			continue
		}
		if err := i.server.do(stream.Context(), m.GetName()); err != nil {
			return err
		}
	}
	return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: int64(n)})
}

// SyncVolumes answers each message with a message of the same name, does what the name says, and
// sends metadata at the beginning and at the end.
func (i inventory) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	i.server.begin(stream.Context())
	if err := stream.SetHeader(metadata.Pairs("first", "1")); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("last", "2"))
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		i.server.took.Add(1)
		if err := stream.Send(&v1.SyncVolumesResponse{Name: m.GetName()}); err != nil {
			return err
		}
		if err := i.server.do(stream.Context(), m.GetName()); err != nil {
			return err
		}
	}
}

// bare returns the error of a method without the information that dispatch adds to the error.
func bare(err error) error {
	if errors.Is(err, errBroken) {
		return errBroken
	}
	return err
}

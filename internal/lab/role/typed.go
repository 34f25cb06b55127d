//go:build linux

package role

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
)

// inventory has the typed methods. A job is sent as JSON text, as the name of a volume; the answer
// names the instance in the same way.
type inventory struct {
	v1.UnimplementedInventoryServiceServer

	*host
}

func text(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // ours can be encoded
	}
	return string(encoded)
}

func read[T any](encoded string) (v T, err error) {
	err = json.Unmarshal([]byte(encoded), &v)
	return v, err
}

// run runs a job without a stream.
func (i *inventory) run(ctx context.Context, name string) (Answer, error) {
	j, err := read[Job](name)
	if err != nil {
		return Answer{}, err
	}
	return i.work(ctx, j)
}

func (i *inventory) GetVolume(ctx context.Context, r *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	answer, err := i.run(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	return &v1.GetVolumeResponse{Name: text(answer)}, nil
}

func (i *inventory) ReportUsage(ctx context.Context, r *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	_, err := i.run(ctx, r.GetName())
	return &emptypb.Empty{}, err
}

func (i *inventory) InvalidateCache(ctx context.Context, r *v1.InvalidateCacheRequest) (*emptypb.Empty, error) {
	_, err := i.run(ctx, r.GetName())
	return &emptypb.Empty{}, err
}

// WatchVolumes sends the items of a job.
func (i *inventory) WatchVolumes(r *v1.WatchVolumesRequest, out grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	j, err := read[Job](r.GetPrefix())
	if err != nil {
		return err
	}
	for answer, err := range i.count(out.Context(), j) {
		if err == nil {
			err = out.Send(&v1.WatchVolumesResponse{Name: text(answer)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ImportVolumes receives the items of a job. Each message has the whole job.
func (i *inventory) ImportVolumes(in grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	end, err := i.take(in.Context(), func() (string, error) {
		message, err := in.Recv()
		return message.GetName(), err
	}, func(Answer) error { return nil })
	if err != nil {
		return err
	}
	return in.SendAndClose(&v1.ImportVolumesResponse{Imported: int64(i.shorten(end.Items))})
}

// SyncVolumes answers each item of a job.
func (i *inventory) SyncVolumes(both grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	_, err := i.take(both.Context(), func() (string, error) {
		message, err := both.Recv()
		return message.GetName(), err
	}, func(answer Answer) error {
		return both.Send(&v1.SyncVolumesResponse{Name: text(answer)})
	})
	return err
}

// take receives the items of a job to their end, answers each, and records how the stream ended.
func (i *inventory) take(ctx context.Context, receive func() (string, error), answer func(Answer) error) (*history.Stream, error) {
	end := new(history.Stream)
	for {
		name, err := receive()
		if errors.Is(err, io.EOF) {
			end.Whole = true
			break
		}
		var j Job
		if err == nil {
			j, err = read[Job](name)
		}
		if err == nil && end.ID == "" {
			end.ID, end.Asked, end.Instance = j.ID, j.Items, i.ran(ctx, j.ID)
		}
		if err == nil {
			end.Items++
			err = sleep(ctx, j.Length)
		}
		if err == nil {
			err = answer(Answer{ID: j.ID, Instance: end.Instance, Item: end.Items})
		}
		if err != nil {
			end.Error = err.Error()
			i.write(end)
			return end, err
		}
	}
	i.write(end)
	return end, nil
}

// write records the end of a stream that had at least one item.
func (i *inventory) write(end *history.Stream) {
	if end.ID != "" {
		i.out.Write(history.Record{Stream: end})
	}
}

//go:build linux

package role

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// sendTyped sends a message with a generated stub.
func (l *loader) sendTyped(ctx context.Context, client *oslorpc.Client, m message) error {
	stub := v1.NewInventoryServiceClient(client)
	switch m.op.Form {
	case history.TypedCall:
		response, err := stub.GetVolume(ctx, &v1.GetVolumeRequest{Name: text(m.job)})
		if err != nil {
			return err
		}
		answer, err := read[Answer](response.GetName())
		m.op.Instance = answer.Instance
		return err
	case history.TypedCast:
		_, err := stub.ReportUsage(ctx, &v1.ReportUsageRequest{Name: text(m.job)})
		return err
	case history.TypedFanout:
		var report oslorpc.Report
		_, err := stub.InvalidateCache(ctx, &v1.InvalidateCacheRequest{Name: text(m.job)}, oslorpc.FanoutReport(&report))
		l.report(m, &report)
		return err
	case history.TypedWatch:
		return m.watch(ctx, stub)
	case history.TypedImport:
		return m.imports(ctx, stub)
	case history.TypedSync:
		return m.sync(ctx, stub)
	default:
		return fmt.Errorf("there is no form %q", m.op.Form)
	}
}

// watch receives a stream.
func (m message) watch(ctx context.Context, stub v1.InventoryServiceClient) error {
	stream, err := stub.WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: text(m.job)})
	if err != nil {
		return err
	}
	return m.receive(func() (string, error) {
		message, err := stream.Recv()
		return message.GetName(), err
	})
}

// receive receives items until the stream ends.
func (m message) receive(next func() (string, error)) error {
	for {
		name, err := next()
		if err == io.EOF { //nolint:errorlint // See below.
			return nil
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("a failure matches io.EOF, the end of a stream: %v", err) //nolint:errorlint // It must not match io.EOF again.
		}
		if err != nil {
			return err
		}
		answer, err := read[Answer](name)
		if err != nil {
			return err
		}
		m.item(answer)
	}
}

// imports sends a stream. If Send returns io.EOF, receiving returns the error, as usual with gRPC.
func (m message) imports(ctx context.Context, stub v1.InventoryServiceClient) error {
	stream, err := stub.ImportVolumes(ctx)
	if err != nil {
		return err
	}
	for range m.job.Items {
		if err = stream.Send(&v1.ImportVolumesRequest{Name: text(m.job)}); err != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	response, err := stream.CloseAndRecv()
	if err == nil {
		m.op.Items = int(response.GetImported())
	}
	return err
}

// sync sends items and receives one for each, concurrently.
func (m message) sync(ctx context.Context, stub v1.InventoryServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := stub.SyncVolumes(ctx)
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		m.sendAll(stream)
	}()
	err = m.receive(func() (string, error) {
		message, err := stream.Recv()
		return message.GetName(), err
	})
	cancel()
	<-sent
	return err
}

// sendAll sends the items of a job. If that fails, receiving returns the error.
func (m message) sendAll(stream grpc.BidiStreamingClient[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) {
	for range m.job.Items {
		if stream.Send(&v1.SyncVolumesRequest{Name: text(m.job)}) != nil {
			return
		}
	}
	_ = stream.CloseSend() // so does this
}

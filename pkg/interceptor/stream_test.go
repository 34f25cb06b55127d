package interceptor_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/interceptor"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestStreamOpensAtItsFirstMessage(t *testing.T) {
	t.Parallel()
	service, conn := start(t, both(), with())
	stream, err := v1.NewInventoryServiceClient(conn).SyncVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stream.Trailer() != nil || stream.Context() != t.Context() {
		t.Error("it is open without a message")
	}
	received := make(chan error)
	go func() { // before anything is sent
		_, err := stream.Header()
		_, receiveErr := stream.Recv()
		received <- errors.Join(err, receiveErr)
	}()
	if err := stream.Send(&v1.SyncVolumesRequest{Name: "a", Mode: v1.Mode_MODE_FAST}); err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
	if err := stream.Send(&v1.SyncVolumesRequest{Name: "b", Mode: v1.Mode_MODE_BURST}); err != nil { // of 1.2, may be dropped
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if closeErr := stream.CloseSend(); err != nil || closeErr != nil {
		t.Error(err, closeErr)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if service.target.Version != "1.1" || len(service.synced) != 2 || service.synced[1].GetMode() != v1.Mode_MODE_UNSPECIFIED {
		t.Errorf("got %v, %v", service.target, service.synced)
	}
}

func TestLaterMessageThatNeedsMoreEndsTheStream(t *testing.T) {
	t.Parallel()
	_, conn := start(t, both(), with())
	stream, err := v1.NewInventoryServiceClient(conn).SyncVolumes(context.Background()) // nothing else ends it
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&v1.SyncVolumesRequest{}); err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&v1.SyncVolumesRequest{Mode: v1.Mode_MODE_FAST})
	check(t, err, rpc.UnsupportedVersion, codes.FailedPrecondition)
	if !strings.Contains(err.Error(), "MODE_FAST") || rpc.SafeToRetry(err) {
		t.Errorf("got %v", err)
	}
	for err = nil; err == nil; _, err = stream.Recv() { // what arrived before may come
	}
	check(t, err, rpc.UnsupportedVersion, codes.FailedPrecondition)
	<-stream.Context().Done()
}

func TestStreamsOfEachKind(t *testing.T) {
	t.Parallel()
	for _, serverOptions := range [][]grpc.ServerOption{both(), nil} {
		var told []interceptor.Report
		service, conn := start(t, serverOptions, with(interceptor.WithReport(func(r interceptor.Report) { told = append(told, r) })))
		client := v1.NewInventoryServiceClient(conn)
		importing, err := client.ImportVolumes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := importing.Send(&v1.ImportVolumesRequest{Replace: true}); err != nil {
			t.Fatal(err)
		}
		if r, err := importing.CloseAndRecv(); err != nil || r.GetImported() != 1 || service.headers.Get("oslorpc-version")[0] != "1.2" {
			t.Errorf("got %v, %v", r, err)
		}
		if importing, err = client.ImportVolumes(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Without a message, the version of the method applies.
		if r, err := importing.CloseAndRecv(); err != nil || r.GetImported() != 0 || service.headers.Get("oslorpc-version")[0] != "1.1" {
			t.Errorf("got %v, %v", r, err)
		}
		watching, err := client.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Prefix: "p"})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := watching.Recv(); err != nil || r.GetName() != "p" || service.headers.Get("oslorpc-version")[0] != "1.0" {
			t.Errorf("got %v, %v, %v", r, err, service.headers)
		}
		if _, err := watching.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if want := map[bool]int{true: 3, false: 0}[serverOptions != nil]; len(told) != want {
			t.Errorf("told %v, want %d", told, want)
		}
	}
}

func TestCapOfStreams(t *testing.T) {
	t.Parallel()
	service, conn := start(t, both(), with(interceptor.WithVersionCap("1.0")))
	client := v1.NewInventoryServiceClient(conn)
	_, err := client.ImportVolumes(t.Context()) // the method is of 1.1
	check(t, err, rpc.VersionCapExceeded, codes.FailedPrecondition)
	_, err = client.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Revision: 1})
	check(t, err, rpc.VersionCapExceeded, codes.FailedPrecondition)
	stream, err := client.SyncVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		check(t, stream.Send(&v1.SyncVolumesRequest{Mode: v1.Mode_MODE_FAST}), rpc.VersionCapExceeded, codes.FailedPrecondition)
	}
	_, err = stream.Recv()
	check(t, err, rpc.VersionCapExceeded, codes.FailedPrecondition)
	check(t, stream.CloseSend(), rpc.VersionCapExceeded, codes.FailedPrecondition)
	if service.calls != 0 {
		t.Error("the network was used")
	}
}

func TestServerRefusesStreams(t *testing.T) {
	t.Parallel()
	service, conn := start(t, both(interceptor.WithImplemented(interceptor.Implementation{Namespace: "volumes", Version: "1.0"})), with())
	stream, err := v1.NewInventoryServiceClient(conn).WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Revision: 1})
	if err == nil {
		_, err = stream.Recv()
	}
	check(t, err, rpc.UnsupportedVersion, codes.FailedPrecondition)
	if !rpc.SafeToRetry(err) || service.calls != 0 {
		t.Errorf("%d calls, %v", service.calls, err)
	}
}

// A receiver that waits for the stream to open returns when its context ends, and a sender gets an
// error.
func TestCanceledBeforeTheStreamOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		open := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, ctx.Err()
		}
		desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
		stream, err := interceptor.StreamClient()(ctx, desc, nil, v1.InventoryService_SyncVolumes_FullMethodName, open)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 2)
		go func() { ended <- stream.RecvMsg(nil) }()
		go func() { _, err := stream.Header(); ended <- err }()
		synctest.Wait() // both wait
		cancel()
		for range 2 {
			err := <-ended
			check(t, err, rpc.Canceled, codes.Canceled)
			if !errors.Is(err, context.Canceled) || !rpc.SafeToRetry(err) {
				t.Errorf("got %v", err)
			}
		}
		if err := stream.SendMsg(&v1.SyncVolumesRequest{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

package interceptor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/leak"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/interceptor"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// inventory is the server of a third party that knows nothing about oslorpc. It records the
// messages that arrive.
type inventory struct {
	v1.UnimplementedInventoryServiceServer
	v1.UnimplementedPlainServiceServer

	mu      sync.Mutex
	created *v1.CreateVolumeRequest
	synced  []*v1.SyncVolumesRequest
	headers metadata.MD
	target  rpc.Target
	checked bool // whether there was a target
	calls   int

	fails func(context.Context) error
}

func (s *inventory) note(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.headers, _ = metadata.FromIncomingContext(ctx)
	s.target, s.checked = interceptor.TargetFrom(ctx)
	if s.fails != nil {
		return s.fails(ctx)
	}
	return nil
}

func (s *inventory) CreateVolume(ctx context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	err := s.note(ctx)
	s.created = r
	return &v1.CreateVolumeResponse{Name: r.GetName()}, err
}

func (s *inventory) GetVolume(ctx context.Context, _ *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	return &v1.GetVolumeResponse{}, s.note(ctx)
}

func (s *inventory) SnapshotVolume(ctx context.Context, _ *v1.SnapshotVolumeRequest) (*v1.SnapshotVolumeResponse, error) {
	return &v1.SnapshotVolumeResponse{}, s.note(ctx)
}

func (s *inventory) ReportUsage(ctx context.Context, _ *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.note(ctx)
}

func (s *inventory) Echo(ctx context.Context, r *v1.EchoRequest) (*v1.EchoResponse, error) {
	return &v1.EchoResponse{Text: r.GetText()}, s.note(ctx)
}

func (s *inventory) ImportVolumes(stream v1.InventoryService_ImportVolumesServer) error {
	if err := s.note(stream.Context()); err != nil {
		return err
	}
	for n := int64(0); ; n++ {
		switch _, err := stream.Recv(); {
		case errors.Is(err, io.EOF):
			return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: n})
		case err != nil:
			return err
		}
	}
}

func (s *inventory) WatchVolumes(r *v1.WatchVolumesRequest, stream v1.InventoryService_WatchVolumesServer) error {
	if err := s.note(stream.Context()); err != nil {
		return err
	}
	return stream.Send(&v1.WatchVolumesResponse{Name: r.GetPrefix()})
}

func (s *inventory) SyncVolumes(stream v1.InventoryService_SyncVolumesServer) error {
	if err := s.note(stream.Context()); err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.synced = append(s.synced, r)
		s.mu.Unlock()
		if err := stream.Send(&v1.SyncVolumesResponse{Name: r.GetName()}); err != nil {
			return err
		}
	}
}

// both returns the server options for the interceptors. bare is a server without interceptors.
func both(options ...interceptor.ServerOption) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(interceptor.UnaryServer(options...)), grpc.ChainStreamInterceptor(interceptor.StreamServer(options...)),
	}
}

func with(options ...interceptor.ClientOption) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(interceptor.UnaryClient(options...)), grpc.WithChainStreamInterceptor(interceptor.StreamClient(options...)),
	}
}

// start runs a plain gRPC server on the loopback interface and returns a plain connection to it.
func start(t testing.TB, serverOptions []grpc.ServerOption, dialOptions []grpc.DialOption) (*inventory, *grpc.ClientConn) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service, server := new(inventory), grpc.NewServer(serverOptions...)
	v1.RegisterInventoryServiceServer(server, service)
	v1.RegisterPlainServiceServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), append(dialOptions, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-served
	})
	return service, conn
}

// check fails the test unless an error has this kind, for programs that know oslorpc and for those
// that do not.
func check(t *testing.T, err error, kind rpc.Kind, code codes.Code) {
	t.Helper()
	if !errors.Is(err, kind) || status.Code(err) != code {
		t.Errorf("got %v with code %v, want %v with code %v", err, status.Code(err), kind, code)
	}
}

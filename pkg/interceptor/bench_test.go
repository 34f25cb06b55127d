package interceptor

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestRuleCheckDoesNotAllocate(t *testing.T) {
	c := newClient([]ClientOption{WithVersionCap("1.2")})
	request := &v1.GetVolumeRequest{Name: "a", WithLabels: true}
	ok := true
	check := func() {
		m, err := c.find(v1.InventoryService_GetVolume_FullMethodName)
		_, version, fits := c.cap.fit(m, request)
		ok = ok && err == nil && fits && version == rpc.Version{Major: 1, Minor: 1}
	}
	if n := testing.AllocsPerRun(100, check); n != 0 || !ok {
		t.Errorf("%v allocations, %v", n, ok)
	}
}

type answering struct {
	v1.UnimplementedInventoryServiceServer
}

func (answering) GetVolume(_ context.Context, r *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	return &v1.GetVolumeResponse{Name: r.GetName()}, nil
}

// BenchmarkUnary compares a call without a version and a call with a version with plain gRPC.
func BenchmarkUnary(b *testing.B) {
	dial := []grpc.DialOption{grpc.WithUnaryInterceptor(UnaryClient(WithVersionCap("1.2")))}
	serve := []grpc.ServerOption{grpc.UnaryInterceptor(UnaryServer())}
	b.Run("plain", func(b *testing.B) { benchmark(b, nil, nil, &v1.GetVolumeRequest{Name: "a"}) })
	b.Run("implied", func(b *testing.B) { benchmark(b, dial, serve, &v1.GetVolumeRequest{Name: "a"}) })
	b.Run("version", func(b *testing.B) { benchmark(b, dial, serve, &v1.GetVolumeRequest{Name: "a", WithLabels: true}) })
}

func benchmark(b *testing.B, dial []grpc.DialOption, serve []grpc.ServerOption, request *v1.GetVolumeRequest) {
	b.Helper()
	lis, server := bufconn.Listen(1<<20), grpc.NewServer(serve...)
	v1.RegisterInventoryServiceServer(server, answering{})
	go server.Serve(lis)
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///bufconn", append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client := v1.NewInventoryServiceClient(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.GetVolume(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

package interceptor_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/interceptor"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type volumes struct {
	v1.UnimplementedInventoryServiceServer
}

func (volumes) CreateVolume(ctx context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	target, _ := interceptor.TargetFrom(ctx)
	fmt.Printf("asked for %s: name %q, description %q\n", target.Version, r.GetName(), r.GetDescription())
	return &v1.CreateVolumeResponse{Name: r.GetName()}, nil
}

// This program has a plain gRPC server and client. The client must not send more than release
// dalmatian knows.
func Example() {
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(interceptor.UnaryServer()),
		grpc.ChainStreamInterceptor(interceptor.StreamServer()))
	v1.RegisterInventoryServiceServer(server, volumes{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(lis)
	defer server.Stop()

	versions := []interceptor.ClientOption{
		interceptor.WithVersionAliases(map[string]string{"dalmatian": "1.0"}),
		interceptor.WithVersionCap("dalmatian"),
	}
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(interceptor.UnaryClient(versions...)),
		grpc.WithChainStreamInterceptor(interceptor.StreamClient(versions...)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	client := v1.NewInventoryServiceClient(conn)

	// The declaration allows the description to be dropped, but not the priority.
	_, err = client.CreateVolume(context.Background(), &v1.CreateVolumeRequest{Name: "a", Description: "mine"})
	fmt.Println(err)
	_, err = client.CreateVolume(context.Background(), &v1.CreateVolumeRequest{Name: "b", Priority: new(int32)})
	fmt.Println(errors.Is(err, rpc.VersionCapExceeded))
	// Output:
	// asked for 1.0: name "a", description ""
	// <nil>
	// true
}

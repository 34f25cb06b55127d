package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	inventorypb "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// volumeService implements a protobuf service, as for any gRPC server.
type volumeService struct {
	inventorypb.UnimplementedInventoryServiceServer
}

func (volumeService) GetVolume(_ context.Context, r *inventorypb.GetVolumeRequest) (*inventorypb.GetVolumeResponse, error) {
	return &inventorypb.GetVolumeResponse{Name: "volume " + r.GetName()}, nil
}

func (volumeService) InvalidateCache(context.Context, *inventorypb.InvalidateCacheRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (volumeService) WatchVolumes(_ *inventorypb.WatchVolumesRequest, s inventorypb.InventoryService_WatchVolumesServer) error {
	for _, name := range []string{"v1", "v2"} {
		if err := s.Send(&inventorypb.WatchVolumesResponse{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

// startInventory returns a transport with a server of the service.
func startInventory(options ...oslorpc.ServerOption) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-typed", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "inventory", Server: "node1"}, options...)
	inventorypb.RegisterInventoryServiceServer(server, volumeService{})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

// Generated stubs work on a client. It calls Invoke for them.
func ExampleClient_Invoke() {
	t := startInventory()
	defer t.Close()

	client := inventorypb.NewInventoryServiceClient(t.Client(oslorpc.Target{Topic: "inventory"}))
	volume, err := client.GetVolume(context.Background(), &inventorypb.GetVolumeRequest{Name: "v1"})
	fmt.Println(volume.GetName(), err)
	// Output:
	// volume v1 <nil>
}

// Methods that stream work, too. The stub calls NewStream.
func ExampleClient_NewStream() {
	t := startInventory()
	defer t.Close()

	client := inventorypb.NewInventoryServiceClient(t.Client(oslorpc.Target{Topic: "inventory"}))
	volumes, err := client.WatchVolumes(context.Background(), &inventorypb.WatchVolumesRequest{})
	if err != nil {
		log.Fatal(err)
	}
	for {
		volume, err := volumes.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(volume.GetName())
	}
	// Output:
	// v1
	// v2
}

// Generated code registers a service on a server.
func ExampleServer_RegisterService() {
	t, err := oslorpc.Open("memory://example-register", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	server := t.Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
	inventorypb.RegisterInventoryServiceServer(server, volumeService{}) // calls server.RegisterService
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	i, _ := server.Instance()
	fmt.Println(i.Implemented[0].Namespace, i.Implemented[0].Version)
	// Output:
	// volumes 1.2
}

// A package that makes servers from options registers services with an option.
func ExampleWithServices() {
	t, err := oslorpc.Open("memory://example-services", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	server := t.Server(oslorpc.Target{Topic: "inventory", Server: "node1"},
		oslorpc.WithServices(func(s grpc.ServiceRegistrar) { inventorypb.RegisterInventoryServiceServer(s, volumeService{}) }))
	fmt.Println(server.Start(context.Background()))
	// Output:
	// <nil>
}

// A server that is not ready for the latest version offers an earlier one. Clients adapt their
// messages to it.
func ExampleWithServiceVersion() {
	t := startInventory(oslorpc.WithServiceVersion("typedtest.v1.InventoryService", "1.1"))
	defer t.Close()

	client := inventorypb.NewInventoryServiceClient(t.Client(oslorpc.Target{Topic: "inventory"}))
	_, err := client.SnapshotVolume(context.Background(), &inventorypb.SnapshotVolumeRequest{}) // since 1.2
	fmt.Println(errors.Is(err, oslorpc.UnsupportedVersion))
	// Output:
	// true
}

// A method whose delivery is a fanout reports the outcome at each server.
func ExampleFanoutReport() {
	t := startInventory()
	defer t.Close()

	client := inventorypb.NewInventoryServiceClient(t.Client(oslorpc.Target{Topic: "inventory"}))
	var report oslorpc.Report
	_, err := client.InvalidateCache(context.Background(), &inventorypb.InvalidateCacheRequest{}, oslorpc.FanoutReport(&report))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range report.Accepted {
		fmt.Println("accepted by", r.Instance.Server)
	}
	// Output:
	// accepted by node1
}

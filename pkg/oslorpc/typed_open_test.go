package oslorpc_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// A stream opens at least at the version of its target, although its first message needs only an
// older version.
func TestTypedStreamOpensAtItsTargetsVersion(t *testing.T) {
	f, all := inventories(t, "1.1")
	c := f.Client(oslorpc.Target{}, oslorpc.WithVersion("1.2"), oslorpc.WithRetry(0))
	stream, err := v1.NewInventoryServiceClient(c).ImportVolumes(t.Context())
	must(t, err)
	err = stream.Send(&v1.ImportVolumesRequest{Name: "a", Labels: map[string]string{"may be": "dropped"}})
	wantKind(t, err, oslorpc.UnsupportedVersion, true)
	if all["1.1"].count() != 0 {
		t.Error("it opened at 1.1")
	}
}

// A timeout while the stream opens is reported as a timeout, whenever it occurs.
func TestTypedStreamThatOpensAtItsDeadline(t *testing.T) {
	const limit = time.Second
	slow := oslorpc.WithDialOptions(grpc.WithStreamInterceptor(func(
		ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, conn, method, options...)
		time.Sleep(limit) // until the timeout strikes
		return stream, err
	}))
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			f := oslorpctest.New(t)
			f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(&inventory{name: "a"}))
			v := v1.NewInventoryServiceClient(f.Transport(slow).Client(oslorpc.Target{}, oslorpc.WithTimeout(limit)))
			if _, err := v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}); err != nil {
				t.Fatal(err)
			}
			stream, err := v.SyncVolumes(t.Context())
			must(t, err)
			if err = stream.Send(&v1.SyncVolumesRequest{}); err == nil {
				_, err = stream.Recv()
			}
			if err != nil {
				wantKind(t, err, oslorpc.Timeout, false)
			}
			_ = stream.CloseSend()
			for err == nil {
				_, err = stream.Recv()
			}
		})
	}
}

// versions is a plain gRPC server that records the version of each request.
type versions struct {
	v1.UnimplementedInventoryServiceServer

	asked chan []string
}

func (v *versions) CreateVolume(ctx context.Context, _ *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	v.asked <- md.Get("oslorpc-version")
	return &v1.CreateVolumeResponse{}, nil
}

// Anything may listen at a static address, such as a server of another major version. This server
// would accept a message without a version as a message of its own version.
func TestTypedMessageToAStaticAddressHasAVersion(t *testing.T) {
	service := &versions{asked: make(chan []string, 1)}
	s := grpc.NewServer()
	v1.RegisterInventoryServiceServer(s, service)
	addr := listenAt(t, func(l net.Listener) { _ = s.Serve(l) }, s.Stop)
	transport, err := oslorpc.Open("static://inventory=" + addr)
	must(t, err)
	defer transport.Close()
	_, err = v1.NewInventoryServiceClient(transport.Client(oslorpc.Target{})).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	must(t, err)
	if asked := <-service.asked; len(asked) != 1 || asked[0] != "1.0" {
		t.Errorf("it was asked at %q", asked)
	}
}

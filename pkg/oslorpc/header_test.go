package oslorpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The client limits the size of headers. A server or a proxy that does not accept large headers may
// close the connection, which would break other RPCs.
func TestHeadersThatAreTooLarge(t *testing.T) {
	f, all := inventories(t, "1.2")
	large := strings.Repeat("x", 8<<10)
	inContext := func(ctx context.Context) context.Context {
		return oslorpc.WithContext(ctx, oslorpc.RequestContext{"catalog": large})
	}
	inMetadata := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "catalog", large)
	}
	for name, send := range map[string]func(context.Context, *oslorpc.Client) error{
		"typed call": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := v1.NewInventoryServiceClient(c).CreateVolume(ctx, &v1.CreateVolumeRequest{})
			return err
		},
		"typed cast": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := v1.NewInventoryServiceClient(c).ReportUsage(ctx, &v1.ReportUsageRequest{})
			return err
		},
		"typed fanout": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := v1.NewInventoryServiceClient(c).InvalidateCache(ctx, &v1.InvalidateCacheRequest{})
			return err
		},
		"typed stream": func(ctx context.Context, c *oslorpc.Client) error {
			stream, err := v1.NewInventoryServiceClient(c).SyncVolumes(ctx)
			if err != nil {
				return err
			}
			return stream.Send(&v1.SyncVolumesRequest{})
		},
		"call": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := oslorpc.Call[any](ctx, c.Prepare(oslorpc.WithTopic("inventory")), "m", nil)
			return err
		},
		"multicall": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Multicall[any](ctx, c.Prepare(oslorpc.WithTopic("inventory")), "m", nil) {
				failed = err
			}
			return failed
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := send(inMetadata(t.Context()), f.Client(oslorpc.Target{}))
			wantKind(t, err, oslorpc.TooLarge, true)
			wantText(t, err, "HeaderSize", "WithLimits", "the limit is 7168")
			err = send(inContext(t.Context()), f.Client(oslorpc.Target{}))
			if strings.HasPrefix(name, "typed") {
				wantKind(t, err, oslorpc.TooLarge, true)
			} else {
				wantKind(t, err, oslorpc.UnsupportedVersion, true) // the context is in the message
			}
		})
	}
	if all["1.2"].count() != 0 {
		t.Error("something ran")
	}
	raised := oslorpctest.New(t, oslorpc.WithLimits(rpc.Limits{HeaderSize: 64 << 10}))
	inventoriesIn(raised, "1.2")
	wide := raised.Client(oslorpc.Target{})
	if _, err := v1.NewInventoryServiceClient(wide).CreateVolume(inContext(inMetadata(t.Context())), &v1.CreateVolumeRequest{}); err != nil {
		t.Errorf("with a limit that is raised: %v", err)
	}
	if _, err := oslorpc.Open("memory://x", oslorpc.WithLimits(rpc.Limits{HeaderSize: 1000})); oslorpc.KindOf(err) != oslorpc.Invalid {
		t.Errorf("a limit that leaves no room: %v", err)
	}
}

// forwarding is a service whose method forwards the metadata of its request.
type forwarding struct {
	inventory

	next v1.InventoryServiceClient
}

func (f *forwarding) CreateVolume(ctx context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	ctx = metadata.NewOutgoingContext(ctx, md)
	if _, err := f.next.CreateVolume(ctx, r); err != nil {
		return nil, err
	}
	return f.next.CreateVolume(ctx, r) // another message, not one that comes again
}

// If a method forwards the metadata of its request, its own messages must not look like that
// request.
func TestForwardedMetadata(t *testing.T) {
	f := oslorpctest.New(t)
	second := &inventory{name: "second"}
	f.Serve(oslorpc.Target{Topic: "second", Server: "second"}, nil, offers(second),
		oslorpc.WithMissedMessages(func(_ context.Context, reason string) { t.Errorf("it missed something: %s", reason) }))
	first := &forwarding{next: v1.NewInventoryServiceClient(f.Client(oslorpc.Target{Topic: "second"}))}
	told := make(chan string, 10)
	server := f.Serve(oslorpc.Target{Topic: "inventory", Server: "first"}, nil,
		oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, first) }),
		oslorpc.WithMissedMessages(func(_ context.Context, reason string) { told <- reason }))
	c := f.Client(oslorpc.Target{Server: "first"})
	server.Stop()
	_, err := v1.NewInventoryServiceClient(c.Prepare(oslorpc.WithFailFast(true))).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.NoInstance, true) // so that the next message has an id, and says that one was missed
	server.Start()
	if _, err := v1.NewInventoryServiceClient(c).CreateVolume(t.Context(), &v1.CreateVolumeRequest{}); err != nil {
		t.Fatal(err)
	}
	if n := second.count(); n != 2 {
		t.Errorf("%d ran", n)
	}
}

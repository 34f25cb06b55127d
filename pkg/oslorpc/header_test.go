package oslorpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// What travels in headers is bounded at the client: a server, or a proxy, that does not take as much may end the connection, and with it
// what others do over it.
func TestHeadersThatAreTooLarge(t *testing.T) {
	f, all := inventories(t, "1.2")
	large := strings.Repeat("x", 8<<10)
	inContext := func(ctx context.Context) context.Context {
		return oslorpc.WithContext(ctx, oslorpc.Context{"catalog": large})
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
			wantText(t, err, "WithMaxHeaderSize", "the limit is 7168")
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
	wide := f.Transport(oslorpc.WithMaxHeaderSize(64 << 10)).Client(oslorpc.Target{})
	if _, err := v1.NewInventoryServiceClient(wide).CreateVolume(inContext(inMetadata(t.Context())), &v1.CreateVolumeRequest{}); err != nil {
		t.Errorf("with a limit that is raised: %v", err)
	}
	if _, err := oslorpc.Open("memory://x", oslorpc.WithMaxHeaderSize(1000)); oslorpc.KindOf(err) != oslorpc.Invalid {
		t.Errorf("a limit that leaves no room: %v", err)
	}
}

// forwarding is a service whose method passes on the metadata that came with its request.
type forwarding struct {
	inventory

	next     v1.InventoryServiceClient
	reported chan error
}

func (f *forwarding) ReportUsage(ctx context.Context, _ *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	ctx = metadata.NewOutgoingContext(context.WithoutCancel(ctx), md)
	for range 2 { // two messages, not one that comes twice
		if _, err := f.next.ReportUsage(ctx, &v1.ReportUsageRequest{}); err != nil {
			return nil, err
		}
	}
	_, err := f.next.CreateVolume(ctx, &v1.CreateVolumeRequest{})
	f.reported <- err
	return &emptypb.Empty{}, err
}

// A handler that passes on the metadata of its request does not make its own messages look like that request.
func TestForwardedMetadata(t *testing.T) {
	f := oslorpctest.New(t)
	second := &inventory{name: "second"}
	f.Serve(oslorpc.Target{Topic: "second", Server: "second"}, nil, offers(second),
		oslorpc.WithMissedMessages(func(_ context.Context, reason string) { t.Errorf("it missed something: %s", reason) }))
	first := &forwarding{inventory: inventory{name: "first"}, next: v1.NewInventoryServiceClient(f.Client(oslorpc.Target{Topic: "second"}))}
	first.reported = make(chan error, 10)
	server := f.Serve(oslorpc.Target{Topic: "inventory", Server: "first"}, nil,
		oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, first) }))
	v := volumes(f, oslorpc.WithServer("first"))
	server.Stop()
	_, err := volumes(f, oslorpc.WithServer("first"), oslorpc.WithFailFast(true)).ReportUsage(t.Context(), &v1.ReportUsageRequest{})
	wantKind(t, err, oslorpc.NoInstance, true) // so that the next message says that one was missed
	server.Start()
	ctx := oslorpc.WithContext(t.Context(), oslorpc.Context{"user": "bob"})
	if _, err := v.ReportUsage(ctx, &v1.ReportUsageRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := <-first.reported; err != nil {
		t.Errorf("a nested call: %v", err)
	}
	until(t, "all ran", func() bool { return second.count() == 3 })
}

package oslorpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// wantNothingMissed sends a message that cannot be encoded, with and without dial options. Only the
// sender gets an error. The server runs nothing and is not told that it missed a message.
func wantNothingMissed(t *testing.T, send func(context.Context, *oslorpc.Client) error, next func(context.Context, *oslorpc.Client) error) {
	t.Helper()
	for name, options := range map[string][]oslorpc.TransportOption{
		"plain": nil, "with dial options": {oslorpc.WithDialOptions(grpc.WithUserAgent("test"))},
	} {
		t.Run(name, func(t *testing.T) {
			f := oslorpctest.New(t)
			a, i := newAgent("node1"), &inventory{name: "node1"}
			f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{a.endpoint("1.0")}, offers(i),
				oslorpc.WithMissedMessages(func(_ context.Context, reason string) { t.Errorf("it missed something: %s", reason) }))
			c := f.Transport(options...).Client(oslorpc.Target{Topic: "agents", Server: "node1"})
			err := send(t.Context(), c)
			wantKind(t, err, oslorpc.BadArguments, true)
			wantText(t, err, "cannot be encoded", "UTF-8")
			if a.casts.Load() != 0 || i.count() != 0 {
				t.Error("something ran")
			}
			must(t, next(t.Context(), c)) // which would tell
		})
	}
}

func TestMessageThatCannotBeEncoded(t *testing.T) {
	bad := oslorpc.Raw("{\"a\": \"\xff\"}")
	next := func(ctx context.Context, c *oslorpc.Client) error {
		_, err := oslorpc.Call[string](ctx, c, "whoami", nil)
		return err
	}
	for name, send := range map[string]func(context.Context, *oslorpc.Client) error{
		"call": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := oslorpc.Call[any](ctx, c, "note", bad)
			return err
		},
		"monitored call": func(ctx context.Context, c *oslorpc.Client) error {
			_, err := oslorpc.Call[any](ctx, c.Prepare(monitor(1e9)), "note", bad)
			return err
		},
		"cast": func(ctx context.Context, c *oslorpc.Client) error { return c.Cast(ctx, "note", bad) },
		"fanout": func(ctx context.Context, c *oslorpc.Client) error {
			report, err := c.Fanout(ctx, "note", bad)
			if err != nil {
				return err
			}
			return report.Failed[0].Err
		},
		"multicall": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Multicall[any](ctx, c, "note", bad) {
				failed = err
			}
			return failed
		},
		"gather": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Gather[any](ctx, c, "note", bad) {
				failed = err
			}
			return failed
		},
	} {
		t.Run(name, func(t *testing.T) { wantNothingMissed(t, send, next) })
	}
}

func TestTypedMessageThatCannotBeEncoded(t *testing.T) {
	next := func(ctx context.Context, c *oslorpc.Client) error {
		_, err := v1.NewInventoryServiceClient(c).CreateVolume(ctx, &v1.CreateVolumeRequest{})
		return err
	}
	for name, send := range map[string]func(context.Context, v1.InventoryServiceClient) error{
		"call": func(ctx context.Context, v v1.InventoryServiceClient) error {
			_, err := v.CreateVolume(ctx, &v1.CreateVolumeRequest{Name: "\xff"})
			return err
		},
		"cast": func(ctx context.Context, v v1.InventoryServiceClient) error {
			_, err := v.ReportUsage(ctx, &v1.ReportUsageRequest{Name: "\xff"})
			return err
		},
		"fanout": func(ctx context.Context, v v1.InventoryServiceClient) error {
			_, err := v.InvalidateCache(ctx, &v1.InvalidateCacheRequest{Name: "\xff"})
			return err
		},
		"server stream": func(ctx context.Context, v v1.InventoryServiceClient) error {
			stream, err := v.WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: "\xff"})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"client stream": func(ctx context.Context, v v1.InventoryServiceClient) error {
			stream, err := v.ImportVolumes(ctx)
			if err != nil {
				return err
			}
			return stream.Send(&v1.ImportVolumesRequest{Name: "\xff"})
		},
		"bidirectional stream": func(ctx context.Context, v v1.InventoryServiceClient) error {
			stream, err := v.SyncVolumes(ctx)
			if err != nil {
				return err
			}
			return stream.Send(&v1.SyncVolumesRequest{Name: "\xff"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingMissed(t, func(ctx context.Context, c *oslorpc.Client) error {
				return send(ctx, v1.NewInventoryServiceClient(c))
			}, next)
		})
	}
}

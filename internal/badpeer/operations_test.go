package badpeer

import (
	"context"
	"strings"
	"time"

	typedtest "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// These are the names of the operations.
const (
	call        = "call"
	cast        = "cast"
	monitored   = "monitored call"
	multicall   = "multicall"
	fanout      = "fanout"
	gather      = "gather"
	typedCall   = "typed call"
	typedStream = "typed stream"
)

type operation func(context.Context, *oslorpc.Client, args) error

type args struct {
	Padding string `json:"padding"`
}

func (k *kind) args() args {
	if k.large {
		return args{strings.Repeat("x", 1<<20)}
	}
	return args{}
}

// operations are all ways to send a message, with a deadline. A monitored call fails if it gets no
// heartbeat for half of the deadline.
func operations(deadline time.Duration) map[string]operation {
	return map[string]operation{
		call: func(ctx context.Context, c *oslorpc.Client, a args) error {
			_, err := oslorpc.Call[string](ctx, c, "work", a)
			return err
		},
		cast: func(ctx context.Context, c *oslorpc.Client, a args) error { return c.Cast(ctx, "work", a) },
		monitored: func(ctx context.Context, c *oslorpc.Client, a args) error {
			_, err := oslorpc.Call[string](ctx, c.Prepare(oslorpc.WithCallMonitorTimeout(deadline/2)), "work", a)
			return err
		},
		multicall: func(ctx context.Context, c *oslorpc.Client, a args) (failed error) {
			for _, err := range oslorpc.Multicall[string](ctx, c, "work", a) {
				failed = err
			}
			return failed
		},
		fanout: func(ctx context.Context, c *oslorpc.Client, a args) error {
			report, err := c.Fanout(ctx, "work", a)
			if err != nil {
				return err
			}
			for _, d := range append(report.Skipped, report.Failed...) {
				return d.Err
			}
			return nil
		},
		gather: func(ctx context.Context, c *oslorpc.Client, a args) (failed error) {
			for _, err := range oslorpc.Gather[string](ctx, c, "work", a) {
				if err != nil {
					failed = err
				}
			}
			return failed
		},
		typedCall: func(ctx context.Context, c *oslorpc.Client, a args) error {
			_, err := typedtest.NewInventoryServiceClient(c).CreateVolume(ctx, &typedtest.CreateVolumeRequest{Name: a.Padding})
			return err
		},
		typedStream: func(ctx context.Context, c *oslorpc.Client, a args) error {
			stream, err := typedtest.NewInventoryServiceClient(c).WatchVolumes(ctx, &typedtest.WatchVolumesRequest{Prefix: a.Padding})
			if err != nil {
				return err
			}
			for {
				if _, err := stream.Recv(); err != nil {
					return ended(err)
				}
			}
		},
	}
}

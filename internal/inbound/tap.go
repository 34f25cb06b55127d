package inbound

import (
	"context"

	"google.golang.org/grpc/tap"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Tap refuses RPCs of callers that have as many as they may have, or that send too many a second.
// gRPC calls it with the headers of each, before anything else.
func Tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	c := From(ctx)
	if c == nil || c.guard == nil {
		return ctx, nil
	}
	switch caller := c.guard.caller; {
	case caller.IsCrowded():
		c.guard.budget.Refused(limits.Streams, caller.String())
		return nil, errStreams
	case caller.IsFast():
		c.guard.budget.Refused(limits.Rate, caller.String())
		return nil, errRate
	default:
		return ctx, nil
	}
}

// The statuses for RPCs beyond the limits.
var (
	errStreams = refused("the caller has as many open RPCs as the server takes from one")
	errRate    = refused("the caller sends more messages a second than the server takes from one")
)

func refused(message string) error {
	return rpcstatus.Encode(&rpc.Error{Kind: rpc.Refused, Cause: refusal.Full, NotStarted: true, Message: message}, nil).Err()
}

package inbound

import (
	"context"

	"google.golang.org/grpc/tap"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Tap refuses RPCs of callers that have as many as they may have. gRPC calls it with the headers of
// each, before anything else.
func Tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	c := From(ctx)
	if c == nil || c.guard == nil || !c.guard.caller.IsCrowded() {
		return ctx, nil
	}
	c.guard.budget.Refused(limits.Streams, c.guard.caller.String())
	return nil, errStreams
}

// errStreams is the status for an RPC beyond the limit.
var errStreams = rpcstatus.Encode(&rpc.Error{
	Kind: rpc.Refused, Cause: refusal.Full, NotStarted: true, Message: "the caller has as many open RPCs as the server takes from one",
}, nil).Err()

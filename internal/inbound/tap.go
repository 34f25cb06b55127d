package inbound

import (
	"context"
	"strings"

	"google.golang.org/grpc/tap"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Tap is the handler for [grpc.InTapHandle]. gRPC calls it with the headers of each RPC, before
// anything else. It refuses an RPC in three cases: the server verifies tokens and the caller proves
// no identity; the caller has the maximum number of open RPCs; or it sends too many per second. If
// the server verifies tokens, Tap removes the header with the token. It keeps headers about a
// message of the protocol for [header.Contradiction].
func (t *Tokens) Tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	var credentials []string
	if t != nil {
		credentials = info.Header.Get(header.Authorization)
		delete(info.Header, header.Authorization) // it is the map in ctx, too
	}
	c := From(ctx)
	if c == nil {
		return ctx, nil
	}
	if c.guard != nil && c.guard.caller.IsCrowded() {
		c.guard.budget.Refused(limits.Streams, c.guard.caller.String())
		return nil, errStreams
	}
	var unproven error
	if t != nil {
		ctx, unproven = t.identify(ctx, c, credentials)
	}
	if c.guard != nil && info.FullMethodName != pb.RPCService_Session_FullMethodName { // whose messages count
		caller := c.guard.caller
		if t != nil {
			caller = c.guard.callerOf(ctx)
		}
		if caller.IsFast() {
			c.guard.budget.Refused(limits.Rate, caller.String())
			return nil, errRate
		}
	}
	switch { // the header is the map in ctx
	case unproven != nil:
	case strings.HasPrefix(info.FullMethodName, contractPrefix):
		ctx = header.Note(ctx, info.Header)
	default:
		ctx = header.Arrive(ctx, info.Header)
	}
	return ctx, unproven
}

// contractPrefix is the prefix of methods whose requests have all fields of the message, so that
// headers are not needed.
const contractPrefix = "/oslorpc.v1."

// These are the statuses of refused RPCs.
var (
	errStreams  = refused("the caller has as many open RPCs as the server takes from one")
	errCallers  = refused("the caller has as many connections as the server takes from one")
	errRate     = rpcstatus.Encode(refusal.TooFast(), nil).Err()
	errUnproven = rpcstatus.Encode(refusal.Denied("the server requires a token or a certificate, and the caller has none"), nil).Err()
	errToken    = rpcstatus.Encode(refusal.Denied("the server does not accept the token of the caller"), nil).Err()
)

func refused(message string) error {
	return rpcstatus.Encode(&rpc.Error{Kind: rpc.Refused, Cause: refusal.Full, NotStarted: true, Message: message}, nil).Err()
}

package grpccarrier

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

// neverWait keeps gRPC from waiting for a connection, whatever options a program sets, so that the
// message can be sent to another server.
var neverWait = grpc.WaitForReady(false)

// typedUnary is a running unary call of a typed service, with memory for its options.
type typedUnary struct {
	evidence        evidence
	header, trailer metadata.MD
	options         [8]grpc.CallOption
}

// spareTyped has ended calls for reuse. Only calls that no other code has seen are reused.
var spareTyped = sync.Pool{New: func() any { return &typedUnary{} }}

// typed runs a unary method of a typed service, which stores its result where the request says.
func (l Link) typed(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) error {
	headed, err := l.carrier.withHeaders(ctx, r)
	if err != nil {
		return err
	}
	u := spareTyped.Get().(*typedUnary)
	e := &u.evidence
	e.carrier = l.carrier
	options := append(u.options[:0], grpc.StaticMethod(), grpc.Peer(&e.opened), grpc.Header(&u.header), grpc.Trailer(&u.trailer), l.carrier.typedLimit)
	options = append(ownOptions(options, r.Typed), neverWait)
	err = e.invoke(headed, conn, r.Typed.Path, r.Typed.Message, r.Typed.Result, options...)
	if !l.carrier.intercepted { // else an interceptor may return while gRPC still writes them
		e.endUnary(u.header, u.trailer)
	}
	tellPeer(r, &e.opened)
	if err != nil {
		return rpcstatus.KeepStatus(e.error(ctx, err), err)
	}
	if !l.carrier.intercepted {
		*u = typedUnary{}
		spareTyped.Put(u)
	}
	return nil
}

// ownOptions appends the program's own call options.
func ownOptions(to []grpc.CallOption, t *carrier.Typed) []grpc.CallOption {
	for _, o := range t.Options {
		if option, ours := o.(grpc.CallOption); ours {
			to = append(to, option)
		}
	}
	return to
}

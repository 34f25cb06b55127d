package grpccarrier

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

type evidenceKey struct{}

// witnessed returns ctx with the evidence for the witness, if there are interceptors.
func (e *evidence) witnessed(ctx context.Context) context.Context {
	if !e.carrier.intercepted {
		return ctx
	}
	if !e.contract {
		ctx = header.Complete(ctx)
	}
	return context.WithValue(ctx, evidenceKey{}, e)
}

// witnesses are the interceptors that collect evidence. They are the last, next to gRPC.
func witnesses() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(witnessUnary), grpc.WithChainStreamInterceptor(witnessStream)}
}

func witnessUnary(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	e, ours := ctx.Value(evidenceKey{}).(*evidence)
	if !ours {
		return invoke(ctx, method, request, reply, conn, options...)
	}
	var opened grpcpeer.Peer
	var header, trailer metadata.MD
	e.sent.Add(1)
	expected := expect(reply)
	err := invoked(invoke(ctx, method, request, reply, conn, append(options, grpc.Peer(&opened), grpc.Header(&header), grpc.Trailer(&trailer))...))
	replied := expected.came()
	e.unanswered.Store(err != nil && hasPeer(&opened) && len(header) == 0 && len(trailer) == 0)
	if err != nil && !replied && (unsendable(err, request) != nil || e.unstarted(err, &opened)) {
		e.sent.Add(-1)
	}
	if err != nil && replied {
		e.replied.Store(true)
	}
	return err
}

// unstarted reports whether it is proven that the method of a failed unary RPC did not run.
func (e *evidence) unstarted(err error, opened *grpcpeer.Peer) bool {
	return rpcstatus.Evidence{Sent: hasPeer(opened), Contract: e.contract, Unanswered: e.unanswered.Load()}.Decode(err).NotStarted
}

// witnessStream counts a stream as sent once it was opened. Whether its message was sent shows only
// later.
func witnessStream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	e, ours := ctx.Value(evidenceKey{}).(*evidence)
	if !ours {
		return open(ctx, desc, conn, method, options...)
	}
	e.streams.Add(1)
	stream, err := open(ctx, desc, conn, method, options...)
	if err != nil {
		e.streams.Add(-1)
		return nil, err
	}
	return replayed{stream}, nil
}

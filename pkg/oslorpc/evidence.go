package oslorpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

// evidence tells whether an RPC may have reached a server, which decides whether its message may be sent again.
//
// gRPC itself tells: the peer that it fills in if, and only if, it opened a stream. But the interceptors that a user
// adds stand between us and gRPC. One may return before its RPC does, or leave our call option out; then the peer is
// empty although the message is on its way. Where there are interceptors, one of ours next to gRPC therefore counts the
// RPCs that pass and may have been sent.
//
// An interceptor may also send a message twice. That a server refused it is no evidence then, if it is not all that servers did with it.
type evidence struct {
	opened grpcpeer.Peer
	// contract: it is an RPC of the contract, not of a program's own service.
	contract bool
	// answered: the server sent headers or a message.
	answered bool
	// sent counts unary RPCs that may have been sent, but for those that were refused; streams counts those that were opened.
	sent, streams atomic.Int32
}

type evidenceKey struct{}

// reached reports whether a server may have the message.
func (e *evidence) reached() bool {
	return hasPeer(&e.opened) || e.sent.Load() > 0 || e.streams.Load() > 0
}

// sentTwice reports whether a server may have the message beside the one that refused it.
func (e *evidence) sentTwice() bool { return e.sent.Load() > 0 || e.streams.Load() > 1 }

// hasPeer reports whether gRPC filled in a peer. A connection of the user's own may have no address.
func hasPeer(p *grpcpeer.Peer) bool { return p.Addr != nil || p.LocalAddr != nil || p.AuthInfo != nil }

// hasHeader reports whether the server sent headers on a stream that has ended: one that refuses a message sends only the status.
func hasHeader(stream grpc.ClientStream) bool {
	headers, _ := stream.Header()
	return headers != nil
}

// error returns the error of an RPC as one of ours. That gRPC canceled it although the caller did not is what becomes of an RPC
// whose transport is closed.
func (e *evidence) error(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	reached := e.reached()
	ours := rpcstatus.Evidence{Sent: reached, Contract: e.contract, Answered: e.answered}.Decode(err)
	if ours.Kind == Canceled && ctx.Err() == nil {
		ours.Kind, ours.Message = Invalid, "the transport was closed before it was sent"
		if reached {
			ours.Kind, ours.Message = OutcomeUnknown, "the transport was closed before the answer came; the method may have run"
		}
	}
	if ours.NotStarted && e.sentTwice() {
		return &Error{Kind: OutcomeUnknown, Cause: ours, Message: "an interceptor sent it more than once, and the method may have run: " + ours.Message}
	}
	return ours
}

// witnesses are the interceptors that collect evidence. They must come last, which is next to gRPC.
func witnesses() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(witnessUnary), grpc.WithChainStreamInterceptor(witnessStream)}
}

func witnessUnary(
	ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	e, ours := ctx.Value(evidenceKey{}).(*evidence)
	if !ours {
		return invoke(ctx, method, request, response, conn, options...)
	}
	var opened grpcpeer.Peer
	e.sent.Add(1)
	err := invoke(ctx, method, request, response, conn, append(options, grpc.Peer(&opened))...)
	if err != nil && (!hasPeer(&opened) || rpcstatus.Evidence{Sent: true, Contract: e.contract}.Decode(err).NotStarted) {
		e.sent.Add(-1)
	}
	return err
}

// witnessStream takes a stream for sent once it is there, although that its message left shows only later.
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
	}
	return stream, err
}

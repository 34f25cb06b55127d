package grpccarrier

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// evidence decides whether an RPC may have reached a server, which decides whether its message may
// be sent again.
//
// gRPC fills in the peer if, and only if, it opened a stream. But interceptors of the program stand
// between us and gRPC. An interceptor may return before its RPC does, or may drop our call option.
// Then the peer is empty although the message may have been sent. So if a program adds options, our
// own interceptor next to gRPC, the witness, counts the RPCs that may have been sent.
//
// An interceptor may also send a message twice. In that case a refusal proves nothing, unless no
// server did anything but refuse the message.
type evidence struct {
	carrier *Carrier
	opened  grpcpeer.Peer
	// contract is true for an RPC of the library's protocol, and false for a typed service of the
	// program.
	contract bool
	// headers is true if the server sent headers.
	headers bool
	// unanswered is true if neither headers nor a status came from the server.
	unanswered atomic.Bool
	// replied is true if a reply, or an item of a stream, arrived before the error.
	replied atomic.Bool
	// request is the message to send. It is nil once it was encoded.
	request proto.Message
	// sent counts unary RPCs that may have been sent and were not refused. Streams counts the
	// opened streams.
	sent, streams atomic.Int32
}

// reached reports whether a server may have received the message.
func (e *evidence) reached() bool {
	return hasPeer(&e.opened) || e.replied.Load() || e.sent.Load() > 0 || e.streams.Load() > 0
}

// sentTwice reports whether another server than the one that refused the message may have received
// it.
func (e *evidence) sentTwice() bool { return e.sent.Load() > 0 || e.streams.Load() > 1 }

// hasPeer reports whether gRPC filled in a peer. A program's own connection type may have no
// address.
func hasPeer(p *grpcpeer.Peer) bool { return p.Addr != nil || p.LocalAddr != nil || p.AuthInfo != nil }

// hasHeader reports whether the server sent headers on a stream that has ended. A server that
// refuses a message sends only a status.
func hasHeader(stream grpc.ClientStream) bool {
	headers, _ := stream.Header()
	return headers != nil
}

// end notes whether the server answered anything on a stream that ended with an error. Interceptors
// may change a stream, so this counts only without them.
func (e *evidence) end(stream grpc.ClientStream) {
	e.unanswered.Store(hasPeer(&e.opened) && !hasHeader(stream) && len(stream.Trailer()) == 0)
}

// endUnary notes whether the server answered anything in a unary RPC without interceptors.
func (e *evidence) endUnary(header, trailer metadata.MD) {
	e.unanswered.Store(hasPeer(&e.opened) && len(header) == 0 && len(trailer) == 0)
}

// invoke sends a unary RPC. With interceptors, the witness notes whether a reply arrived: other
// interceptors may return early, while gRPC still writes the reply.
func (e *evidence) invoke(
	ctx context.Context, conn *grpc.ClientConn, method string, request proto.Message, reply any, options ...grpc.CallOption,
) error {
	e.request = request
	if e.carrier.intercepted {
		return conn.Invoke(e.witnessed(ctx), method, request, reply, options...)
	}
	expected := expect(reply)
	err := invoked(conn.Invoke(ctx, method, request, reply, options...))
	if expected.came() && err != nil {
		e.replied.Store(true)
	}
	return err
}

// error converts the error of an RPC.
func (e *evidence) error(ctx context.Context, err error) *rpc.Error {
	if refused := peer.Refused(ctx); refused != nil && !e.reached() {
		return refused
	}
	if bad := unsendable(err, e.request); bad != nil && !e.sentTwice() {
		return bad
	}
	v := rpcstatus.Evidence{
		Sent: e.reached(), Contract: e.contract, Headers: e.headers, Unanswered: e.unanswered.Load(), Replied: e.replied.Load(),
	}
	ours := v.Decode(err)
	e.complete(ctx, ours)
	if ours.NotStarted && e.sentTwice() {
		return &rpc.Error{
			Kind: rpc.OutcomeUnknown, Cause: ours,
			Message: "an interceptor sent it more than once, and the method may have run: " + ours.Message,
		}
	}
	return ours
}

// unsendable returns the error for a message that gRPC could not encode, or nil if err has another
// reason. gRPC's own error does not say which end failed to encode. It comes after gRPC opened a
// stream, on which nothing was sent.
func unsendable(err error, request any) *rpc.Error {
	message, ok := request.(proto.Message)
	if !ok || message == nil || status.Code(err) != codes.Internal {
		return nil
	}
	return unencodable(message)
}

// unencodable returns an error if a message cannot be encoded.
func unencodable(message proto.Message) *rpc.Error {
	if _, err := proto.Marshal(message); err != nil {
		return &rpc.Error{Kind: rpc.BadArguments, NotStarted: true, Cause: err, Message: "the message cannot be encoded: " + err.Error()}
	}
	return nil
}

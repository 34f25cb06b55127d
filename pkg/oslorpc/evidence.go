package oslorpc

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
	// contract is true for an RPC of the contract, false for a program's own service.
	contract bool
	// headers is true if the server sent headers.
	headers bool
	// unanswered is true if neither headers nor a status came from the server.
	unanswered atomic.Bool
	// replied is true if a reply, or an item of a stream, came before the error.
	replied atomic.Bool
	// request is the message that was to be sent, nil if it is known that it can be encoded.
	request proto.Message
	// transport made the RPC.
	transport *Transport
	// sent counts unary RPCs that may have been sent, but for those that were refused; streams counts those that were opened.
	sent, streams atomic.Int32
}

type evidenceKey struct{}

// reached reports whether a server may have the message.
func (e *evidence) reached() bool {
	return hasPeer(&e.opened) || e.replied.Load() || e.sent.Load() > 0 || e.streams.Load() > 0
}

// sentTwice reports whether a server may have the message beside the one that refused it.
func (e *evidence) sentTwice() bool { return e.sent.Load() > 0 || e.streams.Load() > 1 }

// hasPeer reports whether gRPC filled in a peer. A connection of the user's own may have no address.
func hasPeer(p *grpcpeer.Peer) bool { return p.Addr != nil || p.LocalAddr != nil || p.AuthInfo != nil }

// hasHeader reports whether the server sent headers on a stream that has ended: one that refuses a
// message sends only the status.
func hasHeader(stream grpc.ClientStream) bool {
	headers, _ := stream.Header()
	return headers != nil
}

// end notes whether the server said anything on a stream that has ended with an error. What
// interceptors make of a stream proves nothing.
func (e *evidence) end(stream grpc.ClientStream) {
	e.unanswered.Store(hasPeer(&e.opened) && !hasHeader(stream) && len(stream.Trailer()) == 0)
}

// invoke makes a unary RPC. With interceptors, the one next to gRPC checks whether a reply came:
// others may return early, while gRPC still writes it.
func (e *evidence) invoke(
	ctx context.Context, direct bool, conn *grpc.ClientConn, method string, request, reply any, options ...grpc.CallOption,
) error {
	if !direct {
		return conn.Invoke(ctx, method, request, reply, options...)
	}
	expected := expect(reply)
	err := conn.Invoke(ctx, method, request, reply, options...)
	if expected.came() && err != nil {
		e.replied.Store(true)
	}
	return err
}

// error converts the error of an RPC to an [Error].
func (e *evidence) error(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if bad := unsendable(err, e.request); bad != nil && !e.sentTwice() {
		return bad
	}
	v := rpcstatus.Evidence{Sent: e.reached(), Contract: e.contract, Headers: e.headers, Unanswered: e.unanswered.Load(), Replied: e.replied.Load()}
	ours := v.Decode(err)
	switch {
	case ours.Kind == TooLarge && ours.Cause != nil: // without a detail
		e.explainSize(ours)
	case ctx.Err() != nil:
	case ours.Kind == Canceled:
		e.canceledByOthers(ours)
	case ours.Kind == Timeout && isEarly(ctx):
		e.endedEarly(ours)
	}
	if ours.NotStarted && e.sentTwice() {
		return &Error{Kind: OutcomeUnknown, Cause: ours, Message: "an interceptor sent it more than once, and the method may have run: " + ours.Message}
	}
	return ours
}

// explainSize completes gRPC's own error for a message that is too large. It is the same at both
// ends, but for the limit: no request of ours is larger than our own.
func (e *evidence) explainSize(ours *Error) {
	const sign = "larger than max ("
	var size, limit int
	_, text, _ := strings.Cut(ours.Message, sign)
	if _, err := fmt.Sscanf(text, "%d vs. %d", &size, &limit); err != nil || limit < e.transport.config.maxSize {
		return
	}
	ours.Message = fmt.Sprintf(
		"the method ran, and its result has %d bytes where this client takes %d: ask for less at a time, or raise it with WithMaxMessageSize", size, limit)
}

// isEarly reports whether the deadline of ctx is so far away that no difference of clocks explains
// that it passed.
func isEarly(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > time.Second
}

// endedEarly completes the error of an RPC that ended as if its deadline had passed, long before
// that.
func (e *evidence) endedEarly(ours *Error) {
	switch {
	case ours.NotStarted && e.reached(): // another server may see it otherwise
		ours.Kind = Refused
		ours.Message = "the server says that the deadline passed before the method started, although it did not: " + ours.Message
	case !ours.NotStarted && ours.Cause != nil: // without a detail
		ours.Message = "the server, or a proxy before it, ended the RPC as if its deadline had passed; the method may have run"
	}
}

// canceledByOthers completes the error of an RPC that ended as canceled, although its caller did
// not cancel it.
func (e *evidence) canceledByOthers(ours *Error) {
	closed := e.transport.closed.Load()
	switch {
	case closed && ours.NotStarted:
		ours.Kind, ours.Message = Invalid, "the transport was closed before it was sent"
	case closed:
		ours.Kind, ours.Message = OutcomeUnknown, "the transport was closed before the answer came; the method may have run"
	case !ours.NotStarted:
		ours.Kind = OutcomeUnknown
		ours.Message = "the server, or a proxy before it, canceled the RPC; the method may have run"
	case e.reached():
		ours.Kind, ours.Message = Refused, "the server canceled the RPC before the method started"
	}
}

// unsendable returns the error for a message that gRPC could not encode; nil if err has another
// reason. gRPC's own error does not say which end could not encode what, and comes after it opened
// a stream, on which then nothing was sent.
func unsendable(err error, request any) error {
	message, ok := request.(proto.Message)
	if !ok || message == nil || status.Code(err) != codes.Internal {
		return nil
	}
	return encodable(message)
}

// encodable returns the error for a message that cannot be encoded, nil if it can be.
func encodable(message proto.Message) error {
	if _, err := proto.Marshal(message); err != nil {
		return &Error{Kind: BadArguments, NotStarted: true, Cause: err, Message: "the message cannot be encoded: " + err.Error()}
	}
	return nil
}

// witnesses are the interceptors that collect evidence. They must come last, which is next to gRPC.
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
	err := invoke(ctx, method, request, reply, conn, append(options, grpc.Peer(&opened), grpc.Header(&header), grpc.Trailer(&trailer))...)
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

// unstarted reports whether a unary RPC that failed did not run its method.
func (e *evidence) unstarted(err error, opened *grpcpeer.Peer) bool {
	return rpcstatus.Evidence{Sent: hasPeer(opened), Contract: e.contract, Unanswered: e.unanswered.Load()}.Decode(err).NotStarted
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

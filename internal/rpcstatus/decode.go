package rpcstatus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Evidence is what the client knows about an RPC besides the error with which it ended.
type Evidence struct {
	// Sent is true if a stream was opened for the RPC. If not, no method can have run.
	Sent bool
	// Contract is true for an RPC of the library's protocol, and false for a typed service of the
	// program. Servers of oslorpc put a detail into every refusal of an RPC of the protocol.
	Contract bool
	// Headers is true if the server sent headers before the status. A server that refuses a message
	// sends none.
	Headers bool
	// Unanswered is true if it is known that the peer sent neither headers nor a status, so that
	// the error comes from gRPC at this end.
	Unanswered bool
	// Replied is true if a reply, or an item of a stream, arrived before the status. Then the
	// method ran, whatever the status says.
	Replied bool
}

// Decode converts the error of an RPC to an rpc.Error. Sent says whether a stream was opened for
// the RPC.
func Decode(err error, sent bool) *rpc.Error { return Evidence{Sent: sent}.Decode(err) }

// Decode converts the error of an RPC to an rpc.Error. Once a message was sent, only an ErrorDetail
// in the status proves whether the method ran. Status codes prove nothing, with one exception: see
// foreign.
func (v Evidence) Decode(err error) *rpc.Error {
	st, _ := status.FromError(err)
	if short := Short(st); short != st {
		st, err = short, short.Err()
	}
	detail, garbled := detailOf(st)
	if detail != nil {
		return v.decodeDetail(detail, st)
	}
	v.Sent, v.Headers = v.Sent || v.Replied, v.Headers || v.Replied
	if garbled {
		return v.garbled(st, err)
	}
	return v.decodeBare(st, err)
}

// decodeBare is Decode for a status without an ErrorDetail.
func (v Evidence) decodeBare(st *status.Status, err error) *rpc.Error {
	e := &rpc.Error{Message: st.Message(), Cause: err, NotStarted: !v.Sent}
	switch {
	case st.Code() == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Message = rpc.Timeout, soFar(v.Sent)
	case st.Code() == codes.Canceled || errors.Is(err, context.Canceled):
		e.Kind, e.Message = rpc.Canceled, soFar(v.Sent)
	case st.Code() == codes.PermissionDenied || st.Code() == codes.Unauthenticated:
		e.Kind = rpc.AccessDenied
	case !v.Sent:
		return unsent(st, err)
	case st.Code() == codes.Unimplemented && v.Contract && !v.Headers:
		return foreign(st)
	case v.unprocessed(st):
		e.Kind, e.NotStarted, e.Message = rpc.Refused, true, "the server refused the stream, or went away before it took the message"
	default:
		e.Kind, e.Message = unproven(st)
	}
	return e
}

// unprocessed reports whether HTTP/2 proves that the server did not process the request: the server
// reset the stream with REFUSED_STREAM, or sent a GOAWAY frame that names an earlier stream as the
// last. gRPC reports this only by the texts below. A handler of a typed service may return an error
// with such a text, which it got from a call of its own. So for typed services the text counts only
// if the server sent no status. In the library's protocol, no server returns such an error.
func (v Evidence) unprocessed(st *status.Status) bool {
	if believed := v.Unanswered || v.Contract && !v.Headers; !believed || st.Code() != codes.Unavailable {
		return false
	}
	switch st.Message() {
	case "stream terminated by RST_STREAM with error code: REFUSED_STREAM", "the connection is draining",
		"the stream is rejected because server is draining the connection", unwritten:
		return true
	default:
		return false
	}
}

const unwritten = "the stream ended before the message was written"

// ErrUnwritten is the error of an RPC whose message gRPC did not write to the connection, so that
// no server received it.
var ErrUnwritten = status.Error(codes.Unavailable, unwritten)

// unproven returns the kind and the message for a status without an ErrorDetail, if a message was
// sent.
func unproven(st *status.Status) (rpc.Kind, string) {
	switch st.Code() {
	case codes.ResourceExhausted:
		if strings.Contains(st.Message(), "larger than max") { // gRPC has no other sign of it
			return rpc.TooLarge, "gRPC refused the size of the request or the result; which, and whether the method ran, is not known: " + st.Message()
		}
	case codes.Unimplemented:
		return rpc.NoSuchMethod, "the peer does not speak oslorpc: " + Plain(st.Message())
	case codes.Unavailable:
		return rpc.OutcomeUnknown, lost(st)
	}
	return rpc.OutcomeUnknown, fmt.Sprintf("the RPC ended with %v, which does not say whether the method ran: %s", st.Code(), Plain(st.Message()))
}

// lost returns the error text for a connection that ended before the answer came.
func lost(st *status.Status) string {
	why := ""
	if text := Plain(st.Message()); text != "" {
		why = " (" + text + ")"
	}
	return "the connection was lost after the message was sent" + why + "; it may have run: check that before you send it again"
}

// foreign returns the error for an RPC of the library's protocol that was answered with
// UNIMPLEMENTED and no ErrorDetail. gRPC servers answer so for services that they do not have, and
// gRPC converts the status 404 of an HTTP server to it. So the peer is another program: a server of
// oslorpc never answers so, because of [Seal].
func foreign(st *status.Status) *rpc.Error {
	if strings.Contains(st.Message(), "grpc-encoding") { // gRPC's refusal of a compressor, which any server may lack
		return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "the server does not know the compressor: " + st.Message()}
	}
	e := refusal.New(refusal.Foreign)
	e.Message += ", which does not speak oslorpc: " + Plain(st.Message())
	return e
}

// Seal replaces an UNIMPLEMENTED status without an ErrorDetail, which an interceptor may have
// returned before or after the method ran. Servers apply it to each RPC of the library's protocol,
// because clients conclude from such a status that the server is another program and the method did
// not run.
func Seal(err error) error {
	if err == nil || status.Code(err) != codes.Unimplemented {
		return err
	}
	st, _ := status.FromError(err)
	if detail, garbled := detailOf(st); detail != nil || garbled {
		return err
	}
	return Encode(&rpc.Error{Kind: rpc.OutcomeUnknown, Message: "an interceptor of the server answered UNIMPLEMENTED, " +
		"which does not say whether the method ran: " + st.Message()}, nil).Err()
}

// unsent returns the error for an RPC for which no stream was opened. gRPC uses INTERNAL for
// requests that it cannot send because of a header, a codec or a compressor. Such a request fails
// at every server, except if this server's limit of the header size is the reason.
func unsent(st *status.Status, err error) *rpc.Error {
	e := &rpc.Error{Kind: rpc.Unreachable, Message: Plain(st.Message()), Cause: err, NotStarted: true}
	if st.Code() != codes.Internal {
		return e
	}
	e.Kind = rpc.Invalid
	if strings.HasPrefix(st.Message(), "header list size to send violates") {
		e.Kind, e.Cause = rpc.TooLarge, refusal.TooLargeHeaders(err)
		e.Message = "the server takes no headers of this size: send less metadata and context, or raise its limit: " + st.Message()
	}
	return e
}

// soFar returns an error text that says whether a message was sent before its sender gave up.
func soFar(sent bool) string {
	if sent {
		return "no answer came; the method may have run"
	}
	return "it was not sent"
}

// detailOf returns the ErrorDetail in a status, or nil if there is none. Garbled is true if the
// status has several, or a malformed one, which servers of oslorpc never send. Its meaning is then
// not known.
func detailOf(st *status.Status) (detail *pb.ErrorDetail, garbled bool) {
	for _, d := range st.Proto().GetDetails() {
		if !d.MessageIs(detail) {
			continue
		}
		next := &pb.ErrorDetail{}
		if detail != nil || d.UnmarshalTo(next) != nil {
			return nil, true
		}
		detail = next
	}
	return detail, false
}

// garbled returns the error for a garbled status.
func (v Evidence) garbled(st *status.Status, err error) *rpc.Error {
	return &rpc.Error{Kind: rpc.OutcomeUnknown, NotStarted: !v.Sent, Cause: err, Message: fmt.Sprintf(
		"the RPC ended with %v and several details, or one that cannot be read, which do not say whether the method ran: %s", st.Code(), st.Message())}
}

// decodeDetail returns the error that a server describes, as far as it is credible: a peer may
// contradict itself.
func (v Evidence) decodeDetail(d *pb.ErrorDetail, st *status.Status) *rpc.Error {
	if proto.Size(d) > maxStatus { // servers of oslorpc trim their details before they send them
		trim(d, "")
	}
	e := &rpc.Error{Message: d.GetMessage(), Method: d.GetMethod(), Path: d.GetPath(), Server: d.GetServer(), InstanceID: d.GetInstanceId()}
	if e.Cause = causeOf(d); e.Message == "" && d.GetRemote() != nil { // trim has removed it, as the remote error has it, too
		e.Message = e.Cause.Error()
	}
	var known bool
	if e.Kind, known = kindOf(d.GetKind()); !known {
		e.Message = fmt.Sprintf("%v (of a kind unknown here): %s", d.GetKind(), st.Message())
	}
	if e.Kind == rpc.Refused {
		why := refusalOf(d.GetKind())
		e.Cause, e.Message = why, cmp.Or(e.Message, string(why))
	}
	switch e.NotStarted = d.GetNotStarted() && (!known || canBeUnstarted(e.Kind)); {
	case v.Replied && (d.GetNotStarted() || e.Kind == rpc.Refused):
		e.NotStarted, e.Kind, e.Cause = false, rpc.OutcomeUnknown, nil
		e.Message = "the server answered, and then said that it did not start the method: " + e.Message
	case e.Kind == rpc.Refused && !e.NotStarted:
		e.Kind, e.Cause = rpc.OutcomeUnknown, nil
		e.Message = "the server refused the message, and does not say that it did not start the method: " + e.Message
	case !known && e.NotStarted: // a newer server refuses for a reason that this client does not know
		e.Kind, e.Cause = rpc.Refused, refusalOf(d.GetKind())
	}
	return e
}

// causeOf returns the cause that a detail describes: a remote error, or the interfaces that the
// server offers. It returns nil if there is none.
func causeOf(d *pb.ErrorDetail) error {
	if r := d.GetRemote(); r != nil {
		return &rpc.RemoteError{
			Type: r.GetType(), Message: r.GetMessage(), Stack: r.GetStack(), Hops: r.GetHops(), Data: r.GetData(),
		}
	}
	if list := implemented(d.GetImplemented()); len(list) > 0 {
		return &refusal.Offer{Implemented: list}
	}
	return nil
}

// kindOf converts a kind of the protocol. For an unknown kind it returns OutcomeUnknown, because
// that kind says nothing about the outcome.
func kindOf(wire pb.ErrorKind) (kind rpc.Kind, known bool) {
	for _, f := range refusals {
		if f.wire == wire {
			return rpc.Refused, true
		}
	}
	for _, f := range forms {
		if f.wire == wire {
			return f.kind, true
		}
	}
	return rpc.OutcomeUnknown, false
}

// refusalOf returns the reason of a refusal.
func refusalOf(wire pb.ErrorKind) refusal.Reason {
	for why, f := range refusals {
		if f.wire == wire {
			return why
		}
	}
	return refusal.Reason("for a reason that this client does not know")
}

// canBeUnstarted reports whether an error of this kind may occur before the method runs.
func canBeUnstarted(k rpc.Kind) bool {
	return k != rpc.Remote && k != rpc.BadResult && k != rpc.OutcomeUnknown
}

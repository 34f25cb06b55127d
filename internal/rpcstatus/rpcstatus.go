// Package rpcstatus carries errors over gRPC: the one place that knows which kind of error has which status code and
// details, and what a status proves about whether the method ran.
package rpcstatus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Refusal is why a server did not take a message. It is the cause of an error of kind rpc.Refused.
type Refusal string

// The refusals.
const (
	Full        Refusal = "its queue is full"
	Stopping    Refusal = "it is stopping"
	Misdirected Refusal = "it is not the instance meant"
)

// Error returns the reason in words.
func (r Refusal) Error() string { return string(r) }

// Refuse returns the error for a message that a server does not take.
func Refuse(why Refusal) *rpc.Error {
	return &rpc.Error{Kind: rpc.Refused, Message: string(why), Cause: why, NotStarted: true}
}

// Gone reports whether err says that the instance is not there any more, whatever discovery says.
func Gone(err error) bool { return errors.Is(err, Stopping) || errors.Is(err, Misdirected) }

// form is how a kind looks on the wire.
type form struct {
	kind rpc.Kind
	wire pb.ErrorKind
	code codes.Code
}

// forms has one entry a kind that a server can send. Refused has one for each reason; see refusals.
var forms = []form{
	{rpc.InvalidTarget, pb.ErrorKind_ERROR_KIND_INVALID_TARGET, codes.InvalidArgument},
	{rpc.UnsupportedVersion, pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION, codes.FailedPrecondition},
	{rpc.NoSuchMethod, pb.ErrorKind_ERROR_KIND_NO_SUCH_METHOD, codes.Unimplemented},
	{rpc.BadArguments, pb.ErrorKind_ERROR_KIND_BAD_ARGUMENTS, codes.InvalidArgument},
	{rpc.BadResult, pb.ErrorKind_ERROR_KIND_BAD_RESULT, codes.Internal},
	{rpc.TooLarge, pb.ErrorKind_ERROR_KIND_TOO_LARGE, codes.ResourceExhausted},
	{rpc.AccessDenied, pb.ErrorKind_ERROR_KIND_ACCESS_DENIED, codes.PermissionDenied},
	{rpc.Remote, pb.ErrorKind_ERROR_KIND_REMOTE, codes.Unknown},
	{rpc.Timeout, pb.ErrorKind_ERROR_KIND_TIMEOUT, codes.DeadlineExceeded},
	{rpc.OutcomeUnknown, pb.ErrorKind_ERROR_KIND_OUTCOME_UNKNOWN, codes.Aborted},
	{rpc.Canceled, pb.ErrorKind_ERROR_KIND_CANCELED, codes.Canceled},
}

var refusals = map[Refusal]form{
	Full:        {rpc.Refused, pb.ErrorKind_ERROR_KIND_FULL, codes.ResourceExhausted},
	Stopping:    {rpc.Refused, pb.ErrorKind_ERROR_KIND_STOPPING, codes.Unavailable},
	Misdirected: {rpc.Refused, pb.ErrorKind_ERROR_KIND_MISDIRECTED, codes.Unavailable},
}

// Encode returns err as a status with an ErrorDetail. An error that is not of our family is a defect of ours; it is sent as
// an internal error without a claim about whether the method ran.
func Encode(err error, seen []*pb.Implementation) *status.Status {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return status.New(codes.Internal, trimText(err.Error()))
	}
	f, ok := formOf(e)
	if !ok {
		return status.New(codes.Internal, trimText(e.Error()))
	}
	detail := newDetail(e, f, seen)
	text := e.Kind.String()
	if detail.GetMessage() != "" {
		text += ": " + detail.GetMessage()
	}
	text = trim(detail, text)
	st, err := status.New(f.code, text).WithDetails(detail)
	if err != nil {
		return status.New(f.code, text)
	}
	return st
}

// newDetail returns the detail for an error. It shares nothing with the error: it is cut to size later.
func newDetail(e *rpc.Error, f form, seen []*pb.Implementation) *pb.ErrorDetail {
	detail := &pb.ErrorDetail{
		Kind: f.wire, NotStarted: e.NotStarted, Message: e.Message, Method: e.Method, Path: e.Path,
		Server: e.Server, InstanceId: e.InstanceID, Implemented: seen,
	}
	if e.Message == "" && e.Cause != nil {
		detail.Message = e.Cause.Error()
	}
	if e.Target.Version != "" {
		detail.Version = &e.Target.Version
	}
	var remote *rpc.RemoteError
	if e.Kind == rpc.Remote && errors.As(e.Cause, &remote) {
		detail.Remote = &pb.RemoteError{
			Type: remote.Type, Message: remote.Message, Stack: remote.Stack, Hops: remote.Hops, Data: remote.Data,
		}
	}
	return proto.CloneOf(detail)
}

func formOf(e *rpc.Error) (form, bool) {
	if e.Kind == rpc.Refused {
		var why Refusal
		if !errors.As(e.Cause, &why) {
			return form{}, false
		}
		f, ok := refusals[why]
		return f, ok
	}
	for _, f := range forms {
		if f.kind == e.Kind {
			return f, true
		}
	}
	return form{}, false
}

// Decode turns the error of an RPC into one of ours. Sent says whether a stream was opened for it: if not, nothing can have
// run, and if so, only a detail of ours proves what happened. Status codes prove nothing.
func Decode(err error, sent bool) *rpc.Error {
	st, _ := status.FromError(err)
	for _, d := range st.Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			return decodeDetail(detail, st)
		}
	}
	e := &rpc.Error{Message: st.Message(), Cause: err, NotStarted: !sent}
	switch {
	case st.Code() == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Message = rpc.Timeout, "the deadline passed "+soFar(sent)
	case st.Code() == codes.Canceled || errors.Is(err, context.Canceled):
		e.Kind, e.Message = rpc.Canceled, "canceled "+soFar(sent)
	case st.Code() == codes.PermissionDenied || st.Code() == codes.Unauthenticated:
		e.Kind = rpc.AccessDenied
	case !sent:
		e.Kind = unsent(st.Code())
	case st.Code() == codes.ResourceExhausted && strings.Contains(st.Message(), "larger than max"): // gRPC has no other sign of it
		e.Kind = rpc.TooLarge
		e.Message = "gRPC refused the size of the request or the result; which, and whether the method ran, is not known: " + st.Message()
	case st.Code() == codes.Unimplemented:
		e.Kind = rpc.NoSuchMethod
		e.Message = "the peer does not speak oslorpc: " + st.Message()
	case st.Code() == codes.Unavailable:
		e.Kind = rpc.OutcomeUnknown
		e.Message = "the connection was lost after the message was sent; it may have run: " + st.Message()
	default:
		e.Kind = rpc.OutcomeUnknown
		e.Message = fmt.Sprintf("the RPC ended with %v, which does not say whether the method ran: %s", st.Code(), st.Message())
	}
	return e
}

// unsent returns the kind of an error for which no stream was opened. As internal counts for gRPC what it cannot send, for a header, a codec or
// a compressor: that fares no better elsewhere.
func unsent(c codes.Code) rpc.Kind {
	if c == codes.Internal {
		return rpc.Invalid
	}
	return rpc.Unreachable
}

// soFar says how far a message got that its sender gave up.
func soFar(sent bool) string {
	if sent {
		return "before the answer came; the method may have run"
	}
	return "before it was sent"
}

func decodeDetail(d *pb.ErrorDetail, st *status.Status) *rpc.Error {
	e := &rpc.Error{
		Message: d.GetMessage(), Method: d.GetMethod(), Path: d.GetPath(),
		Server: d.GetServer(), InstanceID: d.GetInstanceId(), NotStarted: d.GetNotStarted(),
	}
	if r := d.GetRemote(); r != nil {
		e.Cause = &rpc.RemoteError{
			Type: r.GetType(), Message: r.GetMessage(), Stack: r.GetStack(), Hops: r.GetHops(), Data: r.GetData(),
		}
	}
	for why, f := range refusals {
		if f.wire == d.GetKind() {
			e.Kind, e.Cause = rpc.Refused, why
			return e
		}
	}
	for _, f := range forms {
		if f.wire == d.GetKind() {
			e.Kind = f.kind
			return e
		}
	}
	// A newer server may have kinds that this client does not know; what it says about the outcome still holds.
	e.Kind, e.Message = rpc.OutcomeUnknown, fmt.Sprintf("%v (of a kind unknown here): %s", d.GetKind(), st.Message())
	return e
}

// Package rpcstatus converts errors to gRPC statuses and back. It alone knows the status code and
// details of each kind, and what a status proves about whether the method ran.
package rpcstatus

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// form is the representation of a kind of errors in the protocol.
type form struct {
	kind rpc.Kind
	wire pb.ErrorKind
	code codes.Code
}

// forms has one entry for each kind that a server can send, except Refused, which has an entry for
// each reason in refusals.
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

var refusals = map[refusal.Reason]form{
	refusal.Full:        {rpc.Refused, pb.ErrorKind_ERROR_KIND_FULL, codes.ResourceExhausted},
	refusal.Stopping:    {rpc.Refused, pb.ErrorKind_ERROR_KIND_STOPPING, codes.Unavailable},
	refusal.Misdirected: {rpc.Refused, pb.ErrorKind_ERROR_KIND_MISDIRECTED, codes.Unavailable},
	refusal.Declined:    {rpc.Refused, pb.ErrorKind_ERROR_KIND_REFUSED, codes.Unavailable},
}

// Encode returns err as a status with an ErrorDetail, for a server to send. Seen are the interfaces
// that the server offers; if it is empty, those in the error's cause are used. An error that is not
// an rpc.Error is a defect of the library; it becomes INTERNAL, which does not say whether the
// method ran.
func Encode(err error, seen []*pb.Implementation) *status.Status {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return status.New(codes.Internal, trimText(err.Error()))
	}
	f, ok := formOf(e)
	if !ok {
		return status.New(codes.Internal, trimText(e.Error()))
	}
	if len(seen) == 0 {
		seen = Implementations(refusal.Offered(e.Cause))
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

// newDetail returns the detail for an error. It shares no memory with the error, because it is
// trimmed later.
func newDetail(e *rpc.Error, f form, seen []*pb.Implementation) *pb.ErrorDetail {
	detail := &pb.ErrorDetail{
		Kind: f.wire, NotStarted: e.NotStarted, Message: e.Message, Method: e.Method, Path: e.Path,
		Server: e.Server, InstanceId: e.InstanceID, Implemented: seen,
	}
	if e.Message == "" && e.Cause != nil {
		detail.Message = e.Cause.Error()
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
		var why refusal.Reason
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

package rpcstatus

import (
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// failure is an rpc.Error that is also a gRPC status, for programs that only know gRPC's errors.
//
// The status has no ErrorDetail, which may say that the method did not start. If a handler passed
// the error of its own call on to its caller, that would be false: the handler did run.
type failure struct {
	ours   *rpc.Error
	status *status.Status
}

// Error returns the text of the rpc.Error.
func (f *failure) Error() string { return f.ours.Error() }

// GRPCStatus makes the error work with package status.
func (f *failure) GRPCStatus() *status.Status { return f.status }

// Unwrap lets errors.As find the rpc.Error.
func (f *failure) Unwrap() error { return f.ours }

// WithStatus returns an error that is also a gRPC status: the received status came, if it is not
// nil or OK, or else the status that a server would send for e.
func WithStatus(e *rpc.Error, came *status.Status) error {
	if came != nil && came.Code() != codes.OK {
		return &failure{ours: e, status: WithoutDetail(came)}
	}
	return &failure{ours: e, status: status.New(codeOf(e), e.Error())}
}

// codeOf returns the status code of an error, even for kinds that servers never send.
func codeOf(e *rpc.Error) codes.Code {
	switch e.Kind {
	case rpc.VersionCapExceeded:
		return codes.FailedPrecondition
	case rpc.NoInstance, rpc.Unreachable:
		return codes.Unavailable
	case rpc.Untrusted:
		return codes.Unauthenticated
	case rpc.MonitorTimeout:
		return codes.DeadlineExceeded
	case rpc.Invalid:
		return codes.Internal
	}
	if f, ok := formOf(e); ok {
		return f.code
	}
	return codes.Unknown
}

// WithoutDetail returns a copy of a status without its ErrorDetails, which are about one message,
// so that the status can be sent for another message.
func WithoutDetail(st *status.Status) *status.Status {
	p := st.Proto()
	p.Details = slices.DeleteFunc(p.GetDetails(), func(d *anypb.Any) bool { return d.MessageIs((*pb.ErrorDetail)(nil)) })
	return status.FromProto(p)
}

// kept wraps the cause of an error that was decoded from a status. It keeps the status, for
// programs that only know gRPC's errors.
type kept struct {
	cause  error // the cause that the error would have; may be nil
	status *status.Status
}

// Error returns the text of the cause.
func (k kept) Error() string {
	if k.cause == nil {
		return k.status.Message()
	}
	return k.cause.Error()
}

// Unwrap returns the cause.
func (k kept) Unwrap() error { return k.cause }

// KeepStatus returns a copy of ours that keeps the status of came, from which it was decoded, for
// [StatusOf].
func KeepStatus(ours *rpc.Error, came error) *rpc.Error {
	st, _ := status.FromError(came)
	keeping := *ours
	keeping.Cause = kept{cause: ours.Cause, status: Short(st)}
	return &keeping
}

// StatusOf returns the status that [KeepStatus] kept in an error, or nil.
func StatusOf(err error) *status.Status {
	if k, ok := errors.AsType[kept](err); ok {
		return k.status
	}
	return nil
}

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

// failure is an error of ours that is a gRPC status as well, for programs that know only those.
//
// The status is without our detail. It may say that the method did not start, which a handler that
// returns the error of a call of its own would repeat to its caller, of whom it is not true.
type failure struct {
	ours   *rpc.Error
	status *status.Status
}

// Error returns the text of our error.
func (f *failure) Error() string { return f.ours.Error() }

// GRPCStatus makes it work with package status.
func (f *failure) GRPCStatus() *status.Status { return f.status }

// Unwrap lets errors.As find our error.
func (f *failure) Unwrap() error { return f.ours }

// WithStatus returns an error as one that is a gRPC status as well: the one that it came with, if
// there is one, else that which a server would send for it.
func WithStatus(e *rpc.Error, came *status.Status) error {
	if came != nil && came.Code() != codes.OK {
		return &failure{ours: e, status: WithoutDetail(came)}
	}
	return &failure{ours: e, status: status.New(codeOf(e), e.Error())}
}

// codeOf returns the code of an error, whether or not a server ever sends it.
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

// WithoutDetail returns a status without the detail of ours that says what became of a message: it
// is to be said of another one.
func WithoutDetail(st *status.Status) *status.Status {
	p := st.Proto()
	p.Details = slices.DeleteFunc(p.GetDetails(), func(d *anypb.Any) bool { return d.MessageIs((*pb.ErrorDetail)(nil)) })
	return status.FromProto(p)
}

// kept is the cause of an error that came as a status, for programs that know only those.
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

// KeepStatus returns an error with the status that it was made from, for [StatusOf].
func KeepStatus(ours *rpc.Error, came error) *rpc.Error {
	st, _ := status.FromError(came)
	keeping := *ours
	keeping.Cause = kept{cause: ours.Cause, status: Short(st)}
	return &keeping
}

// StatusOf returns the status that an error was made from, nil if it was not.
func StatusOf(err error) *status.Status {
	if k, ok := errors.AsType[kept](err); ok {
		return k.status
	}
	return nil
}

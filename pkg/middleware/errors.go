package middleware

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// asStatus makes an error a gRPC status as well.
func asStatus(err error) error {
	if _, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return err
	}
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return rpcstatus.WithStatus(e, nil)
	}
	return err
}

// refused returns the error for a message that an interceptor refused with err. The message did not
// run.
func refused(err error) error {
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		copied := *e
		copied.NotStarted = true
		return &copied
	}
	st := status.Convert(err)
	e := &rpc.Error{Kind: rpc.AccessDenied, Message: st.Message(), Cause: err, NotStarted: true}
	switch code := st.Code(); code {
	case codes.PermissionDenied, codes.Unauthenticated:
	case codes.ResourceExhausted, codes.Unavailable:
		e.Kind = rpc.Refused
	case codes.InvalidArgument:
		e.Kind = rpc.BadArguments
	case codes.DeadlineExceeded:
		e.Kind = rpc.Timeout
	case codes.Unknown: // mostly an error that is no status
		if !errors.Is(err, context.DeadlineExceeded) {
			return unexplained{e}
		}
		e.Kind = rpc.Timeout
	case codes.Internal, codes.DataLoss:
		e.Message = code.String() + ": " + e.Message
		return unexplained{e}
	default:
		e.Message = code.String() + ": " + e.Message
	}
	return e
}

// unexplained marks an error whose text was not written for the sender of the message. Servers with
// trust.Hidden.Failures do not send the text.
type unexplained struct{ ours *rpc.Error }

// Error returns the text for the sender.
func (u unexplained) Error() string { return u.ours.Message }

// Unwrap returns the error with its kind.
func (u unexplained) Unwrap() error { return u.ours }

// unanswerable returns the error for a message that an interceptor answered itself.
func unanswerable() error {
	return &rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Message: "an interceptor of the server neither called its handler " +
		"nor returned an error: only the method can answer, so have the interceptor return an error"}
}

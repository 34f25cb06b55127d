package middleware

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// UnaryAccept runs a unary server interceptor of gRPC before a message is accepted. The values that
// the interceptor adds to the context reach [rpc.Interceptor.Run] and the method. A deadline that
// it adds does not.
//
// Its error refuses the message, which has not run. An [*rpc.Error] is passed on. A gRPC status
// gets the kind for its code: [rpc.AccessDenied] for PERMISSION_DENIED and UNAUTHENTICATED,
// [rpc.Refused] for RESOURCE_EXHAUSTED and UNAVAILABLE, [rpc.BadArguments] for INVALID_ARGUMENT,
// [rpc.Timeout] for DEADLINE_EXCEEDED. Any other error becomes AccessDenied. An interceptor that
// returns no error without calling its handler also refuses the message, because only the method
// can answer.
//
// The interceptor also sees requests of [rpc.DeliveryInspect]: Ping and GetInfo.
func UnaryAccept(i grpc.UnaryServerInterceptor) rpc.Interceptor {
	return rpc.Interceptor{Accept: func(ctx context.Context, m *rpc.Message) (context.Context, error) {
		ctx = withGRPC(ctx, m)
		var accepted context.Context
		_, err := i(ctx, request(m), info(m), func(ctx context.Context, _ any) (any, error) {
			accepted = ctx //nolint:fatcontext // It is called once.
			return &emptypb.Empty{}, nil
		})
		switch {
		case err != nil:
			return nil, refused(err)
		case accepted == nil:
			return nil, unanswerable()
		}
		return valuesOf(ctx, accepted), nil
	}}
}

// UnaryRun runs a unary server interceptor of gRPC around the method, on its goroutine, once a
// worker is free. A panic of the method passes through it.
//
// The interceptor sees the method's error as a gRPC status, and [errors.As] finds the [*rpc.Error]
// in it. If the interceptor returns this error, the sender gets it as without an interceptor. Any
// other error replaces it. If an interceptor fails without calling its handler, its error refuses
// the message, which has not run; see [UnaryAccept] for the kind.
func UnaryRun(i grpc.UnaryServerInterceptor) rpc.Interceptor {
	return rpc.Interceptor{Run: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
		r := run{next: next}
		_, err := i(withGRPC(ctx, m), request(m), info(m), r.handle)
		return r.outcome(err)
	}}
}

// run is the state of one method run within an adapted interceptor.
type run struct {
	next   rpc.Next
	called bool
	// err is what next returned. Shown is the same error as the interceptor sees it.
	err, shown error
}

// handle is the handler that the interceptor calls.
func (r *run) handle(ctx context.Context, _ any) (any, error) {
	if r.called {
		return nil, status.Error(codes.FailedPrecondition,
			"the interceptor called its handler twice: a method runs at most once, so leave retries to the sender")
	}
	r.called = true
	if r.err = r.next(ctx); r.err != nil {
		r.shown = asStatus(r.err)
		return nil, r.shown
	}
	return &emptypb.Empty{}, nil
}

// outcome returns the error of the run, after the interceptor returned err.
func (r *run) outcome(err error) error {
	switch {
	case !r.called && err == nil:
		return unanswerable()
	case !r.called:
		return refused(err)
	case err == r.shown: //nolint:errorlint // A wrapper is another error.
		return r.err
	default:
		return err
	}
}

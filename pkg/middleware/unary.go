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
// it adds to the context reach [rpc.Interceptor.Run] and the method. A deadline that it adds does
// not.
//
// Its error refuses the message, which has not run. An [*rpc.Error] is passed on. A gRPC status
// gets the kind that fits its code: [rpc.AccessDenied] for PERMISSION_DENIED and UNAUTHENTICATED,
// [rpc.Refused] for RESOURCE_EXHAUSTED and UNAVAILABLE, [rpc.BadArguments] for INVALID_ARGUMENT,
// [rpc.Timeout] for DEADLINE_EXCEEDED. Everything else is AccessDenied. An interceptor that neither
// calls its handler nor fails refuses the message, too: nothing but the method can answer.
//
// The interceptor also sees the questions to a process about itself, of [rpc.DeliveryInspect].
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
// It sees the method's error as a gRPC status, and [errors.As] finds the [*rpc.Error] in it. If it
// returns this error, the sender gets it as if there were no interceptor. Another error takes its
// place. An error of an interceptor that did not call its handler refuses the message, which has
// not run: see [UnaryAccept] for its kind.
func UnaryRun(i grpc.UnaryServerInterceptor) rpc.Interceptor {
	return rpc.Interceptor{Run: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
		r := run{next: next}
		_, err := i(withGRPC(ctx, m), request(m), info(m), r.handle)
		return r.outcome(err)
	}}
}

// run is one run of a method within an adapted interceptor.
type run struct {
	next   rpc.Next
	called bool
	// err is what next returned, and shown is the same as the interceptor sees it.
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

// outcome returns what came of the run, after the interceptor returned err.
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

package service

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// NewTyped returns a typed service whose methods are called through the handlers that
// protoc-gen-go-grpc generates. Any carrier can call them.
func NewTyped(rules *typed.Service, desc *grpc.ServiceDesc, impl any) *intake.Service {
	s := &intake.Service{
		Rules: rules, Impl: impl, Canceled: isCanceled,
		Unary: map[string]intake.UnaryMethod{}, Streams: map[string]intake.StreamMethod{},
	}
	for _, m := range desc.Methods {
		s.Unary[m.MethodName] = unaryMethod(m.Handler, impl)
	}
	for _, m := range desc.Streams {
		s.Streams[m.StreamName] = streamMethod(m.Handler, impl)
	}
	return s
}

// unaryMethod returns a method for its generated handler. The handler decodes the request. An
// interceptor keeps the handler from running the method, and takes the function that would run it.
func unaryMethod(handler grpc.MethodHandler, impl any) intake.UnaryMethod {
	return func(decode func(any) error) (request any, run intake.UnaryRun, err error) {
		t := takers.Get().(*taker)
		request, err = handler(impl, context.Background(), decode, t.intercept)
		run = t.run
		t.run = nil
		takers.Put(t)
		return request, run, err
	}
}

// taker takes the function that runs a method from its generated handler.
type taker struct {
	run       intake.UnaryRun
	intercept grpc.UnaryServerInterceptor
}

// takers are the unused takers. A taker whose handler panics is not reused.
var takers = sync.Pool{New: func() any {
	t := &taker{}
	t.intercept = func(_ context.Context, request any, _ *grpc.UnaryServerInfo, method grpc.UnaryHandler) (any, error) {
		t.run = intake.UnaryRun(method)
		return request, nil
	}
	return t
}}

func streamMethod(handler grpc.StreamHandler, impl any) intake.StreamMethod {
	return func(ctx context.Context, stream intake.Stream) error {
		return handler(impl, &serverStream{ctx: ctx, stream: stream})
	}
}

// isCanceled reports whether a method returned the status of a canceled RPC.
func isCanceled(err error) bool {
	st, own := ownStatus(err)
	return own && st.Code() == codes.Canceled
}

// ownStatus returns the status that a method returned as its error, if the error is one. The error
// may panic when it is asked, such as a nil pointer in an error interface.
func ownStatus(err error) (st *status.Status, own bool) {
	defer func() {
		if recover() != nil {
			st, own = nil, false
		}
	}()
	return status.FromError(err)
}

// serverStream is a stream as generated code knows it.
type serverStream struct {
	ctx    context.Context //nolint:containedctx // A stream of gRPC has one.
	stream intake.Stream
}

var _ grpc.ServerStream = (*serverStream)(nil)

// Context returns the method's context.
func (s *serverStream) Context() context.Context { return s.ctx }

// SendMsg sends an item.
func (s *serverStream) SendMsg(item any) error { return asStatus(s.stream.Send(item)) }

// RecvMsg receives a message.
func (s *serverStream) RecvMsg(message any) error { return asStatus(s.stream.Receive(message)) }

// SetHeader adds to the metadata that is sent first.
func (s *serverStream) SetHeader(md metadata.MD) error {
	return s.stream.SetHeader(rpc.Metadata(md))
}

// SendHeader sends the metadata that is sent first.
func (s *serverStream) SendHeader(md metadata.MD) error {
	return s.stream.SendHeader(rpc.Metadata(md))
}

// SetTrailer adds to the metadata that is sent last.
func (s *serverStream) SetTrailer(md metadata.MD) { s.stream.SetTrailer(rpc.Metadata(md)) }

// asStatus returns the end of a context as the status that methods of gRPC expect.
func asStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if _, ok := status.FromError(err); !ok {
			return status.FromContextError(err).Err()
		}
	}
	return err
}

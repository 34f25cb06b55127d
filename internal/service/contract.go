package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A client takes a bare UNIMPLEMENTED for an RPC of oslorpc's own services as proof that another
// program has the address, and sends the message elsewhere. So a server of oslorpc must never
// answer with one.

// sealed returns the description of a service whose unary handlers return no bare UNIMPLEMENTED,
// not even one that an interceptor made: generated handlers call the interceptors themselves.
func sealed(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	copied := *desc
	copied.Methods = slices.Clone(desc.Methods)
	for i, m := range copied.Methods {
		copied.Methods[i].Handler = func(
			service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
		) (any, error) {
			reply, err := m.Handler(service, ctx, decode, interceptor)
			return reply, rpcstatus.Seal(err)
		}
	}
	return &copied
}

// takenHeader says that the message of a stream was taken.
const takenHeader = "oslorpc-taken"

// markTaken makes a stream begin with headers, however it ends. Clients can then distinguish it
// from a refused stream, even if an interceptor of gRPC replaces the error of the method.
func markTaken(stream grpc.ServerStream) {
	_ = stream.SetHeader(metadata.Pairs(takenHeader, "1")) // it fails only if headers were sent already
}

// Unknown answers RPCs of services and methods that the program does not link. gRPC itself would
// answer with a bare UNIMPLEMENTED, after which a client does not know whether it may send the
// message to another server.
func (s *Services) Unknown(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if s.gateway && !isPlain(service) && !strings.HasPrefix(service, "oslorpc.v1.") {
		return s.typedStream(service, method)(nil, stream)
	}
	if err := s.refuse(stream.Context(), service, method); err != nil {
		return err
	}
	return statusOf(&rpc.Error{
		Kind: rpc.NoSuchMethod, Method: method, NotStarted: true, Message: fmt.Sprintf("this program does not know the method %s", path),
	}, nil)
}

// refuse returns why a method is refused before the server checks whether it exists.
func (s *Services) refuse(ctx context.Context, service, method string) error {
	if isPlain(service) || strings.HasPrefix(service, "oslorpc.v1.") {
		return s.use(ctx, service+"/"+method)
	}
	in, err := readTyped(ctx, service, method, header.Of(ctx))
	if err != nil {
		return err
	}
	if err := s.intake.FindTyped(ctx, &in.Message); err != nil {
		return in.status(err)
	}
	return nil
}

// isPlain reports whether a service is one of gRPC's own, such as health, which runs no messages.
func isPlain(service string) bool { return strings.HasPrefix(service, "grpc.") }

// use asks whether the caller may use a method of a plain service. The error is a status.
func (s *Services) use(ctx context.Context, method string) error {
	if err := s.intake.Use(ctx, method, originOf(ctx, nil), callerOf(ctx)); err != nil {
		return statusOf(err, nil)
	}
	return nil
}

// Plain registers services that run no messages, such as health, so that callers can use them if
// the policy says so.
func (s *Services) Plain(r grpc.ServiceRegistrar) grpc.ServiceRegistrar { return plain{s, r} }

type plain struct {
	services *Services
	grpc.ServiceRegistrar
}

// RegisterService implements [grpc.ServiceRegistrar].
func (p plain) RegisterService(desc *grpc.ServiceDesc, impl any) {
	guarded := *desc
	guarded.Methods, guarded.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i, m := range guarded.Methods {
		guarded.Methods[i].Handler = func(impl any, ctx context.Context, decode func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
			if err := p.services.use(ctx, desc.ServiceName+"/"+m.MethodName); err != nil {
				return nil, err
			}
			return m.Handler(impl, ctx, decode, in)
		}
	}
	for i, m := range guarded.Streams {
		guarded.Streams[i].Handler = func(impl any, stream grpc.ServerStream) error {
			if err := p.services.use(stream.Context(), desc.ServiceName+"/"+m.StreamName); err != nil {
				return err
			}
			return m.Handler(impl, stream)
		}
	}
	p.ServiceRegistrar.RegisterService(&guarded, impl)
}

package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A client takes a bare UNIMPLEMENTED for an RPC of the contract as proof that another program has
// the address, and sends the message elsewhere. So a server of oslorpc must never answer with one.

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

// markTaken has a stream begin with headers, however it ends. So clients can tell it from a refused
// stream, even if an interceptor of gRPC replaces the error of the method.
func markTaken(stream grpc.ServerStream) {
	_ = stream.SetHeader(metadata.Pairs(takenHeader, "1")) // it fails only if headers were sent already
}

// Unknown answers RPCs of services and methods that the program does not link. gRPC itself would
// answer with a bare UNIMPLEMENTED, after which a client does not know whether it may send the
// message to another server.
func (s *Services) Unknown(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !s.intake.Offers(service) && !strings.HasPrefix(service, "oslorpc.v1.") {
		in, err := readTyped(stream.Context(), service, method)
		if err != nil {
			return err
		}
		if err := s.intake.FindTyped(&in.Message); err != nil {
			return in.status(err)
		}
	}
	return statusOf(&rpc.Error{
		Kind: rpc.NoSuchMethod, Method: method, NotStarted: true, Message: fmt.Sprintf("this program does not know the method %s", path),
	}, nil)
}

package service

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/wire"
)

// admission asks the limits of the connection whether messages may be decoded.
type admission struct {
	wire.Bounded

	ctx context.Context //nolint:containedctx // It is of the RPC that the message is from.
}

// Admit returns an error if a message is too large when it is decoded, or nested too deeply. It
// waits until there is room for a large one.
func (a *admission) Admit(d protoreflect.MessageDescriptor, encoded []byte) error {
	return inbound.AdmitProtobuf(a.ctx, d, encoded)
}

// receive has decode fill a message, if the limits allow it. The error is a status, or decode's. A
// statistics handler of gRPC sees the bounded message in place of the one within.
func receive(ctx context.Context, message any, decode func(any) error) error {
	inner, ok := message.(proto.Message)
	if !ok || !inbound.IsBounded(ctx) {
		return decode(message)
	}
	a := &admission{ctx: ctx}
	a.Inner, a.Admitter = inner, a
	err := decode(&a.Bounded)
	if a.Err != nil {
		return statusOf(a.Err, nil)
	}
	return err
}

// admitted returns decode, which then fills only what the limits allow.
func admitted(ctx context.Context, decode func(any) error) func(any) error {
	return func(message any) error { return receive(ctx, message, decode) }
}

// bounded returns the description of a service whose handlers receive only what the limits allow.
func bounded(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	copied := *desc
	copied.Methods, copied.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i, m := range desc.Methods {
		copied.Methods[i].Handler = func(
			service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
		) (any, error) {
			return m.Handler(service, ctx, admitted(ctx, decode), interceptor)
		}
	}
	for i, m := range desc.Streams {
		if m.StreamName == sessionName { // it bounds its frames itself
			continue
		}
		copied.Streams[i].Handler = func(service any, stream grpc.ServerStream) error {
			return m.Handler(service, admittedStream{stream})
		}
	}
	return &copied
}

// admittedStream is a stream that receives only what the limits allow.
type admittedStream struct{ grpc.ServerStream }

// RecvMsg receives a message.
func (s admittedStream) RecvMsg(message any) error {
	return receive(s.Context(), message, s.ServerStream.RecvMsg)
}

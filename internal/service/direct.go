package service

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Most messages are calls and casts, and most programs have nothing that sees them between gRPC and
// this library. Package wire decodes and encodes those faster than generated code.

// direct is a message with its request and its response, in one allocation.
type direct struct {
	request  wire.Request
	in       incoming
	response wire.Response
}

// direct returns the description of the contract's service whose calls and casts are decoded
// directly.
func (s *Services) direct(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	copied := *desc
	copied.Methods = slices.Clone(desc.Methods)
	for i, m := range copied.Methods {
		switch m.MethodName {
		case "Call":
			copied.Methods[i].Handler = directly(m.Handler, s.directCall)
		case "Cast":
			copied.Methods[i].Handler = directly(m.Handler, s.directCast)
		}
	}
	return &copied
}

// directly returns a handler that leaves messages which an interceptor sees to the generated
// handler.
func directly(generated grpc.MethodHandler, answer func(context.Context, *direct) (any, error)) grpc.MethodHandler {
	return func(service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		if interceptor != nil {
			return generated(service, ctx, decode, interceptor)
		}
		d := &direct{}
		d.in.origin, d.request.Admitter = origin{ctx: ctx}, d
		if err := decode(&d.request); err != nil {
			if d.request.Err != nil {
				err = statusOf(d.request.Err, nil)
			}
			return nil, err
		}
		return answer(ctx, d)
	}
}

// Admit returns an error if the request must not be decoded.
func (d *direct) Admit(m protoreflect.MessageDescriptor, encoded []byte) error {
	return inbound.AdmitProtobuf(d.in.ctx, m, encoded)
}

// directCall is [Services.Call].
func (s *Services) directCall(ctx context.Context, d *direct) (any, error) {
	if d.request.Full != nil {
		return s.Call(ctx, d.request.Full)
	}
	if err := d.read(ctx); err != nil {
		return nil, err
	}
	d.in.inPlace()
	result, err := s.run(ctx, &d.in)
	switch {
	case err != nil:
		return nil, err
	case d.in.Kwargs == "":
		return s.respond(&d.in, result, nil)
	default:
		d.response.Fill(result)
		return &d.response, nil
	}
}

// directCast is [Services.Cast].
func (s *Services) directCast(ctx context.Context, d *direct) (any, error) {
	if d.request.Full != nil {
		return s.Cast(ctx, &pb.CastRequest{Message: d.request.Full.GetMessage()})
	}
	if err := d.read(ctx); err != nil {
		return nil, err
	}
	return s.accept(ctx, &d.in)
}

// read takes a usual request in. The error is a status.
func (d *direct) read(ctx context.Context) error {
	in, r := &d.in, &d.request
	in.from(ctx, nil)
	in.Target, in.Method, in.ID, in.InstanceID, in.OrderKey = r.Target, r.Method, r.ID, r.InstanceID, r.OrderKey
	in.Kwargs, in.Context = r.Kwargs, r.Context
	if err := in.agree(ctx); err != nil {
		return statusOf(about(in.Method, err), nil)
	}
	return nil
}

package service

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Most messages are calls and casts, and in most programs no hook sees them between gRPC and this
// library. Package wire decodes and encodes such messages faster than generated code.

// direct is a message with its response, in one allocation.
type direct struct {
	in       incoming
	response wire.Response
}

// directRequest is a request that is being decoded into a message. It keeps no part of the encoded
// data.
type directRequest struct {
	wire.Request

	ctx context.Context //nolint:containedctx // It is of the RPC that the request is from.
}

// spare are requests that were read, for the next ones.
var spare = sync.Pool{New: func() any { return &directRequest{} }}

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

// directly returns a handler that passes messages which an interceptor must see to the generated
// handler.
func directly(generated grpc.MethodHandler, answer func(context.Context, *directRequest) (any, error)) grpc.MethodHandler {
	return func(service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		if interceptor != nil {
			return generated(service, ctx, decode, interceptor)
		}
		r := spare.Get().(*directRequest)
		r.ctx, r.Admitter = ctx, r
		if err := decode(&r.Request); err != nil {
			if r.Err != nil {
				err = statusOf(r.Err, nil)
			}
			return nil, err
		}
		return answer(ctx, r)
	}
}

// Admit returns an error if the request must not be decoded.
func (r *directRequest) Admit(m protoreflect.MessageDescriptor, encoded []byte) error {
	return inbound.AdmitProtobuf(r.ctx, m, encoded)
}

// directCall is [Services.Call].
func (s *Services) directCall(ctx context.Context, r *directRequest) (any, error) {
	if r.Full != nil {
		return s.Call(ctx, r.Full)
	}
	d := &direct{}
	if err := d.in.take(r); err != nil {
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
func (s *Services) directCast(ctx context.Context, r *directRequest) (any, error) {
	if r.Full != nil {
		return s.Cast(ctx, &pb.CastRequest{Message: r.Full.GetMessage()})
	}
	in := &incoming{}
	if err := in.take(r); err != nil {
		return nil, err
	}
	return s.accept(ctx, in)
}

// take takes a usual request in, and lets it serve again. The error is a status.
func (in *incoming) take(r *directRequest) error {
	in.from(r.ctx, nil)
	in.Target, in.Method, in.ID, in.InstanceID, in.OrderKey = r.Target, r.Method, r.ID, r.InstanceID, r.OrderKey
	in.Kwargs, in.Context, in.Behalf = r.Kwargs, r.Context, r.Caller
	*r = directRequest{}
	spare.Put(r)
	if err := in.agree(in.ctx); err != nil {
		return statusOf(about(in.Method, err), nil)
	}
	return nil
}

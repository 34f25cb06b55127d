package service

import (
	"context"
	"maps"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// RegisterTyped registers with a gRPC server every service that the program links and the server
// does not know yet. gRPC takes services only before it serves, and servers of the process may
// start later. So each message checks whether a server offers its service.
func (s *Services) RegisterTyped(r *grpc.Server) {
	known := r.GetServiceInfo()
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			d := services.Get(i)
			_, ok := known[string(d.FullName())]
			if !ok && d.ParentFile().Package() != contractPackage { // the contract has no typed services
				r.RegisterService(s.describe(d, file.Path()), nil)
			}
		}
		return true
	})
}

// contractPackage has the services of the contract. A process serves those that it registers.
const contractPackage = "oslorpc.v1"

func (s *Services) describe(d protoreflect.ServiceDescriptor, file string) *grpc.ServiceDesc {
	desc := &grpc.ServiceDesc{ServiceName: string(d.FullName()), Metadata: file}
	methods := d.Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		name := string(m.Name())
		if m.IsStreamingClient() || m.IsStreamingServer() {
			desc.Streams = append(desc.Streams, grpc.StreamDesc{
				StreamName: name, Handler: s.typedStream(desc.ServiceName, name),
				ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
			})
		} else {
			desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: s.typedUnary(desc.ServiceName, name)})
		}
	}
	return desc
}

// Offered lists what the process offers now, for reflection.
type Offered struct {
	Services *Services
	Server   *grpc.Server
}

// GetServiceInfo returns the services that were registered directly, and the typed services that a
// server offers.
func (o Offered) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := o.Server.GetServiceInfo()
	maps.DeleteFunc(all, func(name string, _ grpc.ServiceInfo) bool {
		return !o.Services.intake.Offers(name) && !strings.HasPrefix(name, "oslorpc.v1.") && !strings.HasPrefix(name, "grpc.")
	})
	return all
}

// readTyped returns an incoming message of a typed service, without its content. The error is a
// status.
func readTyped(ctx context.Context, service, method string, headers header.Headers) (*incoming, error) {
	h, err := headers.Read()
	if err != nil {
		return nil, statusOf(about(method, invalid(err.Error())), nil)
	}
	in := &incoming{}
	in.fromCaller(ctx, nil, callerIn(headers.UserAgent()))
	in.Method, in.Typed.Service = method, service
	in.Target = rpc.Target{Exchange: h.Exchange, Topic: h.Topic, Server: h.Server}
	in.Version, in.HasVersion = h.Version, h.HasVersion
	in.ID, in.InstanceID, in.OrderKey, in.Context = h.ID, h.Instance, h.OrderKey, h.Context
	in.Behalf = h.Caller
	if ago := h.Missed; ago > 0 {
		in.Missed = &ago
	}
	return in, nil
}

// typedUnary is the handler of a unary method.
func (s *Services) typedUnary(service, method string) grpc.MethodHandler {
	path := "/" + service + "/" + method
	return func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		headers := header.Arrived(ctx)
		if s.watched {
			headers = header.Of(ctx) // the program may have changed them
		}
		in, err := readTyped(ctx, service, method, headers)
		if err != nil {
			return nil, err
		}
		call, err := s.intake.OpenTyped(ctx, &in.Message, decode)
		if err != nil {
			return nil, in.typedStatus(err)
		}
		if interceptor == nil {
			if !s.watched {
				in.inPlace()
			}
			reply, err := call.Do(ctx, call.Content)
			if err != nil {
				return nil, in.typedStatus(err)
			}
			return in.sendable(call, reply)
		}
		serve := func(ctx context.Context, request any) (any, error) {
			again, message := call, in.Message // an interceptor may serve twice, and a cast outlives it
			again.Message = &message
			reply, err := again.Do(ctx, request)
			if err != nil {
				return nil, in.typedStatus(err)
			}
			return reply, nil
		}
		reply, err := interceptor(ctx, call.Content, &grpc.UnaryServerInfo{Server: call.Service().Impl, FullMethod: path}, serve)
		if err != nil {
			return reply, err
		}
		return in.sendable(call, reply)
	}
}

// sendable returns a reply unchanged, or an error if it cannot be sent.
func (in *incoming) sendable(call intake.Unary, reply any) (any, error) {
	if err := call.Check(reply); err != nil {
		return nil, in.typedStatus(err)
	}
	return reply, nil
}

// typedStream is the handler of a streaming method.
func (s *Services) typedStream(service, method string) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		in, err := readTyped(stream.Context(), service, method, header.Of(stream.Context()))
		if err != nil {
			return err
		}
		if err := s.intake.Stream(stream.Context(), &in.Message, grpcStream{stream}); err != nil {
			return in.typedStatus(err)
		}
		return nil
	}
}

// grpcStream is a stream of gRPC as package intake knows it.
type grpcStream struct{ grpc.ServerStream }

// Send sends an item.
func (s grpcStream) Send(item any) error { return s.SendMsg(item) }

// Receive receives a message.
func (s grpcStream) Receive(message any) error {
	return receive(s.Context(), message, s.RecvMsg)
}

// SetHeader adds to the headers.
func (s grpcStream) SetHeader(md rpc.Metadata) error {
	return s.ServerStream.SetHeader(metadata.MD(md))
}

// SendHeader sends the headers.
func (s grpcStream) SendHeader(md rpc.Metadata) error {
	return s.ServerStream.SendHeader(metadata.MD(md))
}

// SetTrailer adds to the trailers.
func (s grpcStream) SetTrailer(md rpc.Metadata) { s.ServerStream.SetTrailer(metadata.MD(md)) }

// typedStatus returns err as the status of the RPC. A status that the method itself returned stays
// unchanged, except for an added detail that says that the method ran. If the status came from
// another message, it may already have such a detail, which is not true of this message.
func (in *incoming) typedStatus(err error) error {
	if rpc.KindOf(err) == rpc.Unknown {
		return err // of the codec
	}
	ours := in.status(err)
	st := in.statusOfMethod(err)
	if st == nil || st.Code() == codes.OK {
		return ours
	}
	marked := rpcstatus.WithoutDetail(st).Proto()
	detail, _ := status.FromError(ours)
	marked.Details = append(marked.Details, detail.Proto().GetDetails()...)
	return rpcstatus.Bound(status.FromProto(marked)).Err()
}

// statusOfMethod returns the status that the method itself returned, or nil if it returned none.
func (in *incoming) statusOfMethod(err error) *status.Status {
	if in.IsForwarded() {
		return rpcstatus.StatusOf(err)
	}
	own, ok := intake.MethodError(err)
	if !ok {
		return nil
	}
	if st, is := ownStatus(own); is {
		return st
	}
	return nil
}

// Expected reports whether an error of a typed method is an answer rather than a failure to log: a
// status that says more than that the method failed.
func Expected(err error) bool {
	st, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch st.Code() {
	case codes.Unknown, codes.Internal, codes.DataLoss:
		return false
	default:
		return true
	}
}

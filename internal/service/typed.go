package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Typed is a typed service that a server offers: a program's own protobuf service, with the handlers of its generated code.
type Typed struct {
	Rules *typed.Service
	Impl  any

	methods map[string]grpc.MethodHandler
	streams map[string]grpc.StreamHandler
}

// NewTyped returns a service for the generated description of it.
func NewTyped(rules *typed.Service, desc *grpc.ServiceDesc, impl any) *Typed {
	t := &Typed{Rules: rules, Impl: impl, methods: map[string]grpc.MethodHandler{}, streams: map[string]grpc.StreamHandler{}}
	for _, m := range desc.Methods {
		t.methods[m.MethodName] = m.Handler
	}
	for _, s := range desc.Streams {
		t.streams[s.StreamName] = s.Handler
	}
	return t
}

// RegisterTyped makes known to a gRPC server every service that the program links and that is not known to it yet. gRPC takes services
// only before it serves, and servers may start later, so whether one offers the service is found out for each message.
func (p *Process) RegisterTyped(s *grpc.Server) {
	known := s.GetServiceInfo()
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			d := services.Get(i)
			if _, ok := known[string(d.FullName())]; !ok {
				s.RegisterService(p.describe(d, file.Path()), nil)
			}
		}
		return true
	})
}

func (p *Process) describe(d protoreflect.ServiceDescriptor, file string) *grpc.ServiceDesc {
	desc := &grpc.ServiceDesc{ServiceName: string(d.FullName()), Metadata: file}
	methods := d.Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		name := string(m.Name())
		if m.IsStreamingClient() || m.IsStreamingServer() {
			desc.Streams = append(desc.Streams, grpc.StreamDesc{
				StreamName: name, Handler: p.typedStream(desc.ServiceName, name),
				ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
			})
		} else {
			desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: p.typedUnary(desc.ServiceName, name)})
		}
	}
	return desc
}

// Offered lists what the process offers now, for reflection.
type Offered struct {
	Process *Process
	Server  *grpc.Server
}

// GetServiceInfo returns the services that were registered for themselves, and the typed ones that a server offers.
func (o Offered) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := o.Server.GetServiceInfo()
	offered := o.Process.roster.Load().services
	maps.DeleteFunc(all, func(name string, _ grpc.ServiceInfo) bool {
		return offered[name] == nil && !strings.HasPrefix(name, "oslorpc.v1.") && !strings.HasPrefix(name, "grpc.")
	})
	return all
}

// typedMessage is a message of a typed service on its way to its method.
type typedMessage struct {
	server  *Server
	typed   *Typed
	method  *typed.Method
	request dispatch.Request
	maxSize int
	// failure is what the method returned.
	failure error
}

// openTyped finds the server that a message of a typed service is meant for, and reads what its headers say.
func (p *Process) openTyped(ctx context.Context, service, method string) (*typedMessage, error) {
	h, err := header.Read(ctx)
	if err != nil {
		return nil, refuseTyped(nil, method, &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: err.Error()})
	}
	s, err := p.findTyped(service, &h)
	if err != nil {
		return nil, refuseTyped(nil, method, err)
	}
	t := s.Typed[service]
	m := &typedMessage{server: s, typed: t, method: t.Rules.Methods[method], maxSize: p.config.MaxSize}
	m.request = dispatch.Request{
		Delivery: rpc.DeliveryCall, Method: method, Target: rpc.Target{Namespace: t.Rules.Namespace}, Version: rpc.Version{Major: t.Rules.Version.Major}, Context: h.Context, ID: h.ID,
		Caller: callerOf(ctx), OrderKey: h.OrderKey, Typed: &dispatch.Typed{Service: service},
	}
	if err := rpc.ValidateOrderKey(h.OrderKey); err != nil {
		return nil, m.fail(err)
	}
	if h.Missed > 0 && s.Missed != nil {
		s.Missed(h.Missed)
	}
	if h.HasVersion {
		m.request.Version = h.Version
	}
	if n := len(h.Context); n > p.config.MaxSize {
		return nil, m.fail(&rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
			"the request context has %d bytes, and this server takes %d", n, p.config.MaxSize)})
	}
	return m, nil
}

// findTyped returns the server that offers a typed service and is meant. Headers say who is; without any, whoever offers it.
func (p *Process) findTyped(service string, h *header.Request) (*Server, error) {
	r, at := p.roster.Load(), discovery.Topic{Exchange: h.Exchange, Name: h.Topic}
	g := r.services[service]
	if g != nil {
		if s := g.findAt(at, h.Server, h.Instance); s != nil {
			return s, nil
		}
	}
	// That a server does not offer the service must not be taken for a sign that it is not there: other messages go to it.
	// A process that is just starting again has no servers yet.
	everybody := group{servers: r.servers}
	if everybody.findAt(at, h.Server, h.Instance) != nil {
		return nil, &rpc.Error{Kind: rpc.NoSuchMethod, NotStarted: true, Message: fmt.Sprintf("no server that is meant offers the service %s", service)}
	}
	return nil, p.absent(h.Instance, fmt.Sprintf("no server of this process that offers the service %s is meant", service))
}

// typedUnary is the handler of a unary method. The generated handler decodes the request and is kept from running the method, which is
// then run as any other message is.
func (p *Process) typedUnary(service, method string) grpc.MethodHandler {
	path := "/" + service + "/" + method
	return func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		m, err := p.openTyped(ctx, service, method)
		if err != nil {
			return nil, err
		}
		var run grpc.UnaryHandler
		request, err := m.typed.methods[method](m.typed.Impl, ctx, decode,
			func(_ context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				run = handler
				return request, nil
			})
		if err != nil {
			return nil, err
		}
		if interceptor == nil {
			return m.sendable(m.unary(ctx, request, run))
		}
		serve := func(ctx context.Context, request any) (any, error) {
			return m.copied().unary(ctx, request, run) // an interceptor may do so twice, and a cast outlives it
		}
		return m.sendable(interceptor(ctx, request, &grpc.UnaryServerInfo{Server: m.typed.Impl, FullMethod: path}, serve))
	}
}

// sendable returns a result as it is, unless it cannot be sent.
func (m *typedMessage) sendable(reply any, err error) (any, error) {
	if err != nil {
		return reply, err
	}
	if err := m.checkResult(reply); err != nil {
		return nil, m.fail(err)
	}
	return reply, nil
}

func (m *typedMessage) copied() *typedMessage {
	c := *m
	c.request.Typed = &dispatch.Typed{Service: m.request.Typed.Service}
	return &c
}

// unary runs a unary method, or accepts its message if it is a cast.
func (m *typedMessage) unary(ctx context.Context, request any, run grpc.UnaryHandler) (any, error) {
	r := &m.request
	if message, ok := request.(proto.Message); ok {
		r.Typed.Size = proto.Size(message)
		if err := m.checkRequest(r.Typed.Size); err != nil {
			return nil, m.fail(err)
		}
	}
	if m.method.Delivery != typed.Call {
		return m.cast(ctx, request, run)
	}
	var reply any
	r.Typed.Invoke = func(ctx context.Context, _ dispatch.Emit) error {
		reply, m.failure = run(ctx, request)
		return failed(m.failure)
	}
	if err := m.server.Dispatch.Call(ctx, r, drop); err != nil {
		return nil, m.fail(err)
	}
	return reply, nil
}

// cast accepts a message whose method runs later.
func (m *typedMessage) cast(ctx context.Context, request any, run grpc.UnaryHandler) (any, error) {
	m.request.Delivery = rpc.DeliveryCast
	m.request.Typed.Invoke = func(ctx context.Context, _ dispatch.Emit) error {
		_, err := run(ctx, request)
		return failed(err)
	}
	if err := m.server.Dispatch.Cast(ctx, &m.request); err != nil {
		return nil, m.fail(err)
	}
	return &emptypb.Empty{}, nil
}

// drop is for methods that emit nothing: their results do not pass through dispatch.
func drop(string) error { return nil }

// typedStream is the handler of a streaming method.
func (p *Process) typedStream(service, method string) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		m, err := p.openTyped(stream.Context(), service, method)
		if err != nil {
			return err
		}
		r := &m.request
		r.Delivery = rpc.DeliveryMulticall
		if m.method.ClientStreams {
			r.Delivery = rpc.DeliveryStream
		}
		r.Typed.Invoke = func(ctx context.Context, _ dispatch.Emit) error {
			bounded := &boundStream{ServerStream: &runStream{stream, ctx}, message: m}
			m.failure = m.typed.streams[method](m.typed.Impl, bounded)
			if m.isCut() {
				return dispatch.ErrCut()
			}
			return bounded.result(m.failure)
		}
		if err := untilForced(stream.Context(), m.server.Dispatch, r, drop); err != nil {
			return m.fail(err)
		}
		return nil
	}
}

// isCut reports whether a stream's method failed only because a forced stop had ended its stream.
func (m *typedMessage) isCut() bool {
	select {
	case <-m.server.Dispatch.Forced():
		st, own := statusOf(m.failure)
		return own && st.Code() == codes.Canceled
	default:
		return false
	}
}

// failed returns what a method returned as a failure of it; nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &dispatch.MethodError{Err: err}
}

// fail returns err as the status of the RPC. A status that the method returned itself stays what it is, with a detail that says that the
// method did. One that came from further on may have such a detail already, which is about another message.
func (m *typedMessage) fail(err error) error {
	ours := refuseTyped(m.server, m.request.Method, m.signed(err))
	if rpc.KindOf(err) != rpc.Remote {
		return ours
	}
	st, own := statusOf(m.failure)
	if !own || st.Code() == codes.OK {
		return ours
	}
	marked := rpcstatus.WithoutDetail(st).Proto()
	detail, _ := status.FromError(ours)
	marked.Details = append(marked.Details, detail.Proto().GetDetails()...)
	return rpcstatus.Bound(status.FromProto(marked)).Err()
}

// statusOf returns the status that a method returned as its error, if it is one. Like dispatch, it may meet an error that panics when it
// is asked for its text, such as a nil pointer in an error interface; here that would end the process.
func statusOf(err error) (st *status.Status, own bool) {
	defer func() {
		if recover() != nil {
			st, own = nil, false
		}
	}()
	return status.FromError(err)
}

// signed completes an error with the version that was asked for and the server that says so.
func (m *typedMessage) signed(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	signed := *e
	signed.Target.Version = m.request.Version.String()
	signed.Server, signed.InstanceID = m.server.Instance.Server, m.server.Instance.ID
	return &signed
}

// refuseTyped returns err, which is about a method, as a status.
func refuseTyped(s *Server, method string, err error) error {
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		named := *e
		named.Method = method
		err = &named
	}
	if s != nil && rpc.KindOf(err) == rpc.UnsupportedVersion {
		return rpcstatus.Encode(err, implementations(s)).Err()
	}
	return rpcstatus.Encode(err, nil).Err()
}

// Expected reports whether an error of a typed method is no news for a log: a status that says more than that something failed.
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

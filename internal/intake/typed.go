package intake

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Service is a typed service that a server offers: a program's own protobuf service. It is
// immutable.
type Service struct {
	// Rules are the options of the service.
	Rules *typed.Service
	// Impl is the program's implementation.
	Impl any
	// Unary and Streams are its methods, by their names.
	Unary   map[string]UnaryMethod
	Streams map[string]StreamMethod
	// Canceled reports whether an error of a method says that its stream was canceled.
	Canceled func(error) bool
}

// UnaryMethod decodes a request with decode, and returns it with the function that runs the method.
type UnaryMethod func(decode func(any) error) (request any, run UnaryRun, err error)

// UnaryRun runs a unary method.
type UnaryRun = func(ctx context.Context, request any) (reply any, err error)

// Unary is the message of a unary method, with its request.
type Unary struct {
	*Message

	// Content is the decoded request. It replaces the Content of Message.
	Content any

	intake *Intake
	run    UnaryRun
}

// CallTyped runs a unary method of a typed service and returns its reply. A message that is a cast
// or a copy of a fanout is answered once it is accepted. Decode decodes the request; its error is
// returned unchanged.
func (i *Intake) CallTyped(ctx context.Context, m *Message, decode func(any) error) (reply any, err error) {
	u, err := i.OpenTyped(ctx, m, decode)
	if err != nil {
		return nil, err
	}
	if reply, err = u.Do(ctx, u.Content); err != nil {
		return nil, err
	}
	return reply, u.Check(reply)
}

// OpenTyped is the first step of [Intake.CallTyped]: it finds the server and decodes the request. A
// carrier with its own interceptors calls the steps itself: OpenTyped, [Unary.Do] and
// [Unary.Check].
func (i *Intake) OpenTyped(ctx context.Context, m *Message, decode func(any) error) (u Unary, err error) {
	if err := i.FindTyped(ctx, m); err != nil {
		return Unary{}, err
	}
	if m.IsForwarded() {
		return i.openForwarded(m, decode)
	}
	method := m.typed.Unary[m.Method]
	if method == nil {
		return Unary{}, m.Sign(noSuchMethod(m))
	}
	u = Unary{Message: m, intake: i}
	u.Content, u.run, err = method(decode)
	return u, err
}

// Do is the second step: the message is accepted or refused, and its method runs. An interceptor
// may have replaced the decoded request. Each call of Do counts as a separate message.
func (u Unary) Do(ctx context.Context, request any) (reply any, err error) {
	i, m := u.intake, u.Message
	if m.IsForwarded() {
		return u.forward(ctx, request)
	}
	most, isCast := i.config.CallTime, m.typed.Rules.Methods[m.Method].Delivery != typed.Call
	if isCast {
		most = 0
	}
	ctx, cancel := m.bound(ctx, most)
	defer cancel()
	m.Typed.Arguments = request
	if message, ok := request.(proto.Message); ok {
		m.Typed.Size = proto.Size(message)
	}
	if isCast {
		return u.cast(ctx, request)
	}
	run := u.run
	m.Typed.Invoke = func(ctx context.Context, _ dispatch.Emit) (err error) {
		if m.reply, err = run(ctx, request); err != nil {
			return failed(err)
		}
		return m.answerMessage(m.reply)
	}
	if ctx, err = i.enter(ctx, m, rpc.DeliveryCall); err == nil {
		err = m.server.Dispatch.Call(ctx, &m.Request, drop)
	}
	if err == nil && m.reply == nil {
		err = &rpc.Error{Kind: rpc.BadResult, Message: "the method ran and failed, and an interceptor returned no error in its place"}
	}
	if err != nil {
		return nil, m.Sign(err)
	}
	return m.reply, nil
}

// cast returns when the message is accepted. Its method runs later.
func (u Unary) cast(ctx context.Context, request any) (any, error) {
	m := u.Message
	m.Typed.Invoke = func(ctx context.Context, _ dispatch.Emit) error {
		_, err := u.run(ctx, request)
		return failed(err)
	}
	ctx, err := u.intake.enter(ctx, m, rpc.DeliveryCast)
	if err == nil {
		err = m.server.Dispatch.Cast(ctx, &m.Request)
	}
	if err != nil {
		return nil, m.Sign(err)
	}
	return &emptypb.Empty{}, nil
}

// Check is the last step: it returns an error if the reply cannot be sent.
func (u Unary) Check(reply any) error { return u.Sign(u.intake.sendableMessage(reply)) }

// Service returns the typed service that was found. It is empty if the message is forwarded.
func (u Unary) Service() *Service {
	if u.typed == nil {
		return &Service{}
	}
	return u.typed
}

// FindTyped is [Intake.Find] for a message of a typed service.
func (i *Intake) FindTyped(ctx context.Context, m *Message) error {
	if m.server != nil || m.meant != nil {
		return nil
	}
	if err := i.behalf(m); err != nil {
		return m.Sign(err)
	}
	s, err := i.findTyped(m)
	if s == nil {
		err = i.forward(m, err)
	}
	if err := i.guardTyped(ctx, m, s); err != nil {
		return err
	}
	if err == nil && m.IsForwarded() {
		if err = m.checkTimes(); err == nil {
			err = rpc.ValidateOrderKey(m.OrderKey)
		}
		return m.Sign(err)
	}
	if err != nil {
		return m.Sign(err)
	}
	m.server, m.typed = s, s.Services[m.Typed.Service]
	m.Target.Namespace = m.typed.Rules.Namespace
	if !m.HasVersion {
		m.Version = rpc.Version{Major: m.typed.Rules.Version.Major}
	}
	if err = m.checkTimes(); err == nil {
		err = rpc.ValidateOrderKey(m.OrderKey)
	}
	return m.Sign(err)
}

// findTyped returns the intended server, which must offer the typed service. Names that the message
// leaves out match all: without any names, it is for any server that offers the service.
func (i *Intake) findTyped(m *Message) (*Server, error) {
	r, at := i.roster.Load(), registry.Topic{Exchange: m.Target.Exchange, Name: m.Target.Topic}
	if g := r.services[m.Typed.Service]; g != nil {
		if s := g.findAt(at, m.Target.Server, m.InstanceID); s != nil {
			return s, nil
		}
	}
	// If the intended server exists but lacks the service, the error must not say that the server
	// is absent, because then clients would stop sending it other messages. A process that is just
	// restarting has no servers yet.
	all := group{servers: r.servers}
	if err := contradicted(&all, m); err != nil {
		return nil, err
	}
	if all.findAt(at, m.Target.Server, m.InstanceID) != nil {
		return nil, &rpc.Error{Kind: rpc.NoSuchMethod, NotStarted: true, Message: fmt.Sprintf(
			"no server that matches the target offers the service %s", m.Typed.Service)}
	}
	return nil, i.absent(m.InstanceID, fmt.Sprintf("no server of this process that offers the service %s matches the target", m.Typed.Service))
}

// contradicted returns an error if the names in a message are not those that its instance has. They
// must agree, because a proxy may have routed the message by the names.
func contradicted(all *group, m *Message) error {
	if m.InstanceID == "" {
		return nil
	}
	s := all.find("", m.InstanceID)
	if s == nil {
		return nil
	}
	for _, claim := range [...]struct{ what, said, is string }{
		{"exchange", m.Target.Exchange, s.Instance.Exchange},
		{"topic", m.Target.Topic, s.Instance.Topic},
		{"server", m.Target.Server, s.Instance.Server},
	} {
		if claim.said != "" && claim.said != claim.is {
			return m.invalid(fmt.Sprintf("the message is for instance %.64q, whose %s is %.64q, and for the %s %.64q: leave one of them out",
				m.InstanceID, claim.what, claim.is, claim.what, claim.said))
		}
	}
	return nil
}

func noSuchMethod(m *Message) error {
	return &rpc.Error{Kind: rpc.NoSuchMethod, NotStarted: true, Message: fmt.Sprintf(
		"the service %s has no method %s of this form", m.Typed.Service, m.Method)}
}

// failed wraps the error of a method in a [dispatch.MethodError]; nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &dispatch.MethodError{Err: err}
}

// MethodError returns the error that a typed method of this process, or an interceptor around it,
// returned, given the error of the operation. Ok is false if err has another origin. A carrier may
// send more of the method's error than its text.
func MethodError(err error) (own error, ok bool) {
	if failure, ok := errors.AsType[*dispatch.Failure](err); ok {
		return failure.Own, true
	}
	return nil, false
}

// drop is the emit function of typed methods, whose results do not pass through the dispatcher.
func drop(string) error { return nil }

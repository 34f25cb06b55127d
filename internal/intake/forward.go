package intake

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Forwarder passes messages on to servers of other processes. It makes the process a gateway. It
// gets a message after the gate and the interceptors have allowed it, and after its size was
// checked.
//
// Its errors are *rpc.Errors. If a server made an error, the error names that server.
type Forwarder interface {
	// Meant returns the intended server of a message, as far as it is known without waiting. For a
	// message with an instance id, that is the instance. An error refuses the message.
	Meant(m *Message) (rpc.Instance, error)
	// Call, Cast and Multicall have the same meaning as at the intake. A cast returns once a server
	// has accepted it.
	Call(ctx context.Context, m *Message) (result string, err error)
	Cast(ctx context.Context, m *Message) error
	Multicall(ctx context.Context, m *Message, emit func(item string) error) error
	// Invoke forwards a message of a typed service whose reply is one message.
	Invoke(ctx context.Context, m *Message, request proto.Message) (reply proto.Message, err error)
	// Stream forwards a typed message as a stream. The gateway does not know the service, so it
	// does not know which side sends more than one message.
	Stream(ctx context.Context, m *Message, stream Stream) error
	// Fanout and Gather send a dynamic message to all intended servers. They call each with the
	// outcome at each server, never concurrently. An error of each ends them. Their own errors are
	// about no single server.
	Fanout(ctx context.Context, m *Message, each func(Copy) error) error
	Gather(ctx context.Context, m *Message, each func(Copy) error) error
	// Ping and Info pass a question on to the process of the instance that it is about.
	Ping(ctx context.Context, q *Inspection) error
	Info(ctx context.Context, q *Inspection) (proto.Message, error)
	// List returns all instances. Watch reports the instances of a topic, as a registry does.
	List(ctx context.Context) ([]rpc.Instance, error)
	Watch(topic registry.Topic, notify func(registry.Update)) (stop func(), err error)
	// Leaving returns a channel that is closed when the process begins to stop.
	Leaving() <-chan struct{}
	// Counts returns what the gateway has done.
	Counts() Counts
}

// Counts describe the work of a gateway.
type Counts struct {
	// Forwarding is how many forwarded messages still wait for an answer. Forwarded is how many
	// were forwarded since the start. Failed is how many of them failed; errors that methods
	// returned do not count.
	Forwarding, Forwarded, Failed int64
	// Watches is the number of watches of clients: one for each client and topic. Attached is the
	// number of attached processes.
	Watches, Attached int64
}

// Copy is the outcome, at one server, of a message for many servers.
type Copy struct {
	Instance rpc.Instance
	// Result is the result of the method, if the sender waits for it.
	Result string
	// Skipped is true if the instance drains, or cannot serve the message. Err says which.
	Skipped bool
	Err     error
}

// forward prepares a message for forwarding. Call it if no server of this process was found. If the
// process is no gateway, it returns absent, the reason why none was found.
func (i *Intake) forward(m *Message, absent error) error {
	if i.config.Forward == nil {
		return absent
	}
	meant, err := i.config.Forward.Meant(m)
	m.meant = &meant // even if err refuses the message, because the gate decides first
	return err
}

// IsForwarded reports whether the message, once found, is for a server of another process.
func (m *Message) IsForwarded() bool { return m.meant != nil }

// Path returns the path of the method of a typed message.
func (m *Message) Path() string { return "/" + m.Typed.Service + "/" + m.Method }

// forwardCall is Call for a message that is forwarded.
func (i *Intake) forwardCall(ctx context.Context, m *Message) (result string, err error) {
	if m.result, err = i.config.Forward.Call(ctx, m); err != nil {
		return "", m.Sign(err)
	}
	if err = i.sendable(m.result); err == nil {
		err = m.Answer(len(m.result))
	}
	return m.result, m.Sign(err)
}

// forwardItems is Multicall for a message that is forwarded.
func (i *Intake) forwardItems(ctx context.Context, m *Message, emit func(item string) error) error {
	return m.Sign(i.config.Forward.Multicall(ctx, m, func(item string) error {
		if err := i.sendable(item); err != nil {
			return err
		}
		if err := m.Answer(len(item)); err != nil {
			return err
		}
		return emit(item)
	}))
}

// openForwarded is OpenTyped for a message that is forwarded. The type of its request is not known
// here, so the request keeps its encoded bytes.
func (i *Intake) openForwarded(m *Message, decode func(any) error) (Unary, error) {
	raw := &emptypb.Empty{}
	u := Unary{Message: m, Content: raw, intake: i}
	return u, decode(raw)
}

// forward is Do for a message that is forwarded.
func (u Unary) forward(ctx context.Context, request any) (any, error) {
	i, m := u.intake, u.Message
	ctx, cancel := m.bound(ctx, i.config.CallTime)
	defer cancel()
	raw, ok := request.(proto.Message)
	if !ok {
		return nil, m.Sign(failure.Invalid("an interceptor passed a request that is not a protobuf message"))
	}
	m.Typed.Arguments, m.Typed.Size = raw, proto.Size(raw)
	ctx, err := i.enter(ctx, m, rpc.DeliveryCall)
	if err != nil {
		return nil, m.Sign(err)
	}
	reply, err := i.config.Forward.Invoke(ctx, m, raw)
	if err == nil {
		err = m.answerMessage(reply)
	}
	if err != nil {
		return nil, m.Sign(err)
	}
	return reply, nil
}

// forwardStream is Stream for a message that is forwarded.
func (i *Intake) forwardStream(ctx context.Context, m *Message, stream Stream) error {
	ctx, cancel := m.bound(ctx, i.config.CallTime)
	defer cancel()
	ctx, err := i.enter(ctx, m, rpc.DeliveryStream)
	if err == nil {
		err = i.config.Forward.Stream(ctx, m, &boundStream{Stream: stream, ctx: ctx, intake: i, message: m})
	}
	return m.Sign(err)
}

// Fanout has a copy of a dynamic message accepted by every intended server. It works only in a
// gateway.
func (i *Intake) Fanout(ctx context.Context, m *Message, each func(Copy) error) error {
	return i.toAll(ctx, m, rpc.DeliveryFanout, 0, func(ctx context.Context) error {
		return i.config.Forward.Fanout(ctx, m, func(c Copy) error {
			c.Err = m.Sign(c.Err)
			return each(c)
		})
	})
}

// Gather runs a dynamic message at every intended server. It works only in a gateway.
func (i *Intake) Gather(ctx context.Context, m *Message, each func(Copy) error) error {
	return i.toAll(ctx, m, rpc.DeliveryGather, i.config.CallTime, func(ctx context.Context) error {
		return i.config.Forward.Gather(ctx, m, func(c Copy) error {
			if c.Err == nil {
				if c.Err = i.sendable(c.Result); c.Err == nil {
					c.Err = m.Answer(len(c.Result))
				}
			}
			c.Err = m.Sign(c.Err)
			return each(c)
		})
	})
}

func (i *Intake) toAll(ctx context.Context, m *Message, as rpc.Delivery, most time.Duration, send func(context.Context) error) error {
	m.Target.Fanout = false // the delivery says it already
	if m.InstanceID != "" {
		return m.Sign(m.invalid("`instance_id` has no meaning for a message to all servers: leave it out"))
	}
	if err := m.check(); err != nil {
		return m.Sign(err)
	}
	if err := i.behalf(m); err != nil {
		return m.Sign(err)
	}
	meant, err := i.config.Forward.Meant(m)
	m.meant = &meant
	each := rpc.DeliveryCast // as each server sees it
	if as == rpc.DeliveryGather {
		each = rpc.DeliveryCall
	}
	if err := i.guard(ctx, m, nil, each); err != nil {
		return err
	}
	if err != nil {
		return m.Sign(err)
	}
	ctx, cancel := m.bound(ctx, most)
	defer cancel()
	if ctx, err = i.enter(ctx, m, as); err != nil {
		return m.Sign(err)
	}
	return m.Sign(send(ctx))
}

// List returns the instances of all topics, except instances to which the policy lets the caller
// send nothing. It works only in a gateway.
func (i *Intake) List(ctx context.Context, q *Inspection) ([]rpc.Instance, error) {
	if err := i.askAbout(ctx, q, rpc.Target{}); err != nil {
		return nil, err
	}
	all, err := i.config.Forward.List(ctx)
	if err != nil {
		return nil, err
	}
	return i.visible(callerOf(q.Origin, q.Caller), all), nil
}

// Watch calls notify with the instances of a topic, now and after each change, as a registry does.
// It leaves out instances to which the policy lets the caller send nothing. It works only in a
// gateway.
func (i *Intake) Watch(ctx context.Context, q *Inspection, topic registry.Topic, notify func(registry.Update)) (stop func(), err error) {
	topic.Exchange = cmp.Or(topic.Exchange, i.config.Exchange)
	target := rpc.Target{Exchange: topic.Exchange, Topic: topic.Name}
	if err := target.ValidateClient(); err != nil {
		return nil, err
	}
	if err := i.askAbout(ctx, q, target); err != nil {
		return nil, err
	}
	from := callerOf(q.Origin, q.Caller)
	return i.config.Forward.Watch(topic, func(u registry.Update) {
		u.Instances = i.visible(from, u.Instances)
		notify(u)
	})
}

// Counts returns what the gateway has done.
func (i *Intake) Counts() Counts { return i.config.Forward.Counts() }

// Leaving returns a channel that is closed when the gateway begins to stop.
func (i *Intake) Leaving() <-chan struct{} { return i.config.Forward.Leaving() }

// visible returns the instances to which the policy lets a caller send messages. It changes the
// list.
func (i *Intake) visible(from *gate.Caller, all []rpc.Instance) []rpc.Instance {
	if i.config.Gate == nil {
		return all
	}
	return slices.DeleteFunc(all, func(in rpc.Instance) bool {
		return !i.config.Gate.Reaches(from, &policy.Query{Exchange: in.Exchange, Topic: in.Topic, Server: in.Server})
	})
}

// Info passes a question about an instance of another process on to that process, and returns the
// description as a protobuf message. It returns nil if the question is about this process.
func (i *Intake) Info(ctx context.Context, q *Inspection) (proto.Message, error) {
	is := func(s *Server) bool { return s.Instance.ID == q.InstanceID }
	if q.InstanceID == "" || slices.ContainsFunc(i.Servers(), is) {
		return nil, nil
	}
	if err := i.askElsewhere(ctx, q); err != nil {
		return nil, err
	}
	return i.config.Forward.Info(ctx, q)
}

// askElsewhere returns an error if a question about an instance of another process must not be
// passed on.
func (i *Intake) askElsewhere(ctx context.Context, q *Inspection) error {
	if i.config.Forward == nil {
		return i.absent(q.InstanceID, string(refusal.Misdirected))
	}
	target := rpc.Target{}
	if at, err := i.config.Forward.Meant(&Message{InstanceID: q.InstanceID}); err == nil {
		target = rpc.Target{Exchange: at.Exchange, Topic: at.Topic, Server: at.Server}
	}
	question := i.queryAt(nil, target)
	question.Method, question.Delivery = q.Method, rpc.DeliveryInspect
	if i.config.Gate != nil {
		if err := i.config.Gate.Enter(ctx, callerOf(q.Origin, q.Caller), &question); err != nil {
			return err
		}
	}
	return i.askAbout(ctx, q, target)
}

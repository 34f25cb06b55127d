package intake

import (
	"context"
	"errors"
	"time"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Message is a message that a carrier received. In Request, the carrier sets Target, Method,
// Kwargs, Context, ID, OrderKey, Caller, Monitored and Origin, and the service name for a typed
// service; the intake sets the rest. Use a Message for one operation only, and do not change it
// after the operation began.
type Message struct {
	dispatch.Request

	// HasVersion says that the carrier set Version instead of the text in Target.
	HasVersion bool
	// InstanceID is the instance that the client chose; empty for none.
	InstanceID string
	// Missed is how long ago the sender last failed to deliver a message to the server; nil for
	// never.
	Missed *time.Duration
	// Remaining is the time that the sender will still wait, as the message says. It is nil if the
	// message does not say so. The earlier of its end and the end of ctx counts.
	Remaining *time.Duration
	// Content is the source of Kwargs and Context. It is read after the gate has allowed the
	// message. It is nil if the carrier set Kwargs and Context.
	Content Content

	// Heartbeat is how often the sender of a monitored call wants a sign of life; 0 for the default.
	Heartbeat time.Duration
	// Behalf is the caller on whose behalf a gateway sends the message, as an encoded Caller message;
	// empty for none.
	Behalf string
	// Gateways are the boot ids of the gateways that forwarded the message. They are set by Find
	// and FindTyped, from Behalf.
	Gateways []string

	entered bool   // the gate has allowed it
	said    string // the value of Behalf before it was read
	server  *Server
	meant   *rpc.Instance // the intended server of a message that is forwarded, as far as it is known; else nil
	typed   *Service      // nil for a dynamic message
	result  string        // the last item of a call
	reply   any           // of a unary method of a typed service
}

// Content is the keyword arguments and the request context of a dynamic message, as they were
// encoded for sending.
type Content interface {
	// ReadContent returns both as the texts of JSON objects. A text is empty if the message lacks
	// it. An error refuses the message.
	ReadContent() (kwargs, context string, err error)
}

// Find finds the intended server of a dynamic message, and asks the gate whether the sender may
// send it. The operations call Find themselves. A carrier may call it before, to learn of an error
// earlier.
func (i *Intake) Find(ctx context.Context, m *Message, as rpc.Delivery) error {
	if m.server != nil || m.meant != nil {
		return nil
	}
	if err := m.check(); err != nil {
		return m.Sign(err)
	}
	if err := i.behalf(m); err != nil {
		return m.Sign(err)
	}
	s, absent := i.find(m)
	if s == nil {
		absent = i.forward(m, absent)
	}
	if err := i.guard(ctx, m, s, as); err != nil {
		return err
	}
	m.server = s
	return m.Sign(absent)
}

// Implemented returns the interfaces of the found server that errors may name. It returns nil if no
// server was found.
func (m *Message) Implemented() []rpc.Implementation {
	if m.server == nil {
		return nil
	}
	return m.server.Dispatch.Table().Offers(m.Target.Namespace)
}

// check returns an error if something other than the content of a dynamic message is invalid. It
// also sets Version from the target.
func (m *Message) check() error {
	names := m.Target
	names.Version = ""
	switch {
	case m.Target.Fanout:
		return m.invalid("a request reaches one server: to fan out, send one to each and leave `target.fanout` out")
	case m.Method == "":
		return m.invalid("`method` is required: name the method to run")
	}
	if err := m.checkTimes(); err != nil {
		return err
	}
	if err := rpc.ValidateOrderKey(m.OrderKey); err != nil {
		return err
	}
	if err := rpc.ValidateMethod(m.Method); err != nil {
		return err
	}
	if err := names.ValidateClient(); err != nil {
		return err
	}
	if m.HasVersion {
		return nil
	}
	var err error
	if m.Version, err = rpc.VersionOrDefault(m.Target.Version); err != nil {
		return m.invalid(err.Error())
	}
	return nil
}

// checkTimes returns an error if one of the times is negative.
func (m *Message) checkTimes() error {
	switch {
	case m.Missed != nil && *m.Missed < 0:
		return m.invalid("`missed` is negative: leave it out if no message failed")
	case m.Remaining != nil && *m.Remaining < 0:
		return m.invalid("`remaining` is negative: do not send a message that nothing waits for")
	default:
		return nil
	}
}

func (m *Message) invalid(message string) error {
	return &rpc.Error{Kind: rpc.InvalidTarget, Target: m.Target, Message: message, NotStarted: true}
}

// bound returns ctx with a deadline: when the sender stops waiting, or after the time most,
// whichever is earlier. If most is 0, only the sender's time counts.
func (m *Message) bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	switch {
	case m.Remaining != nil && (most == 0 || *m.Remaining <= most):
		return context.WithTimeout(ctx, *m.Remaining)
	case most == 0:
		return ctx, func() {}
	default:
		return context.WithTimeoutCause(ctx, most, dispatch.TimeLimitError(most))
	}
}

// readContent reads the content, unless it was read before.
func (m *Message) readContent() (err error) {
	if m.Content == nil {
		return nil
	}
	m.Kwargs, m.Context, err = m.Content.ReadContent()
	m.Content = nil
	return err
}

// enter prepares a message whose server was found: the interceptors accept or refuse it, the server
// is told if it missed an earlier message, and the content is checked. The returned context is for
// the dispatcher.
func (i *Intake) enter(ctx context.Context, m *Message, as rpc.Delivery) (context.Context, error) {
	m.Delivery, m.Instance = as, m.meant
	if m.server != nil {
		m.Instance = &m.server.Instance
	}
	unreadable := m.readContent()
	ctx, err := i.accept(ctx, m)
	if err != nil {
		return nil, err
	}
	if m.Missed != nil && m.server != nil && m.server.Missed != nil {
		m.server.Missed(*m.Missed)
	}
	if unreadable != nil {
		return nil, unreadable
	}
	if err := i.fits(m); err != nil {
		return nil, err
	}
	if m.IsForwarded() { // a gateway decodes no arguments
		return ctx, nil
	}
	if err := m.admit(ctx); err != nil {
		return nil, err
	}
	return ctx, nil
}

// Sign returns a copy of an error with the method and the target of the message, and the server if
// it was found. It does not change err, which may be shared.
func (m *Message) Sign(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	signed := *e
	signed.Method, signed.Target = m.Method, m.Target
	if m.server != nil {
		signed.Server, signed.InstanceID = m.server.Instance.Server, m.server.Instance.ID
	}
	return &signed
}

// Call runs a dynamic message and returns its last item, or null if there is none.
func (i *Intake) Call(ctx context.Context, m *Message) (result string, err error) {
	if err := i.Find(ctx, m, rpc.DeliveryCall); err != nil {
		return "", err
	}
	ctx, cancel := m.bound(ctx, i.config.CallTime)
	defer cancel()
	if ctx, err = i.enter(ctx, m, rpc.DeliveryCall); err != nil {
		return "", m.Sign(err)
	}
	if m.IsForwarded() {
		return i.forwardCall(ctx, m)
	}
	m.result = "null"
	if err = m.server.Dispatch.Call(ctx, &m.Request, m.keep); err == nil {
		err = i.sendable(m.result)
	}
	return m.result, m.Sign(err)
}

// keep is the emit function of a call: it keeps the last item as the result.
func (m *Message) keep(item string) error {
	m.result = item
	return m.Answer(len(item))
}

// Cast accepts a dynamic message. The method runs after the sender has its answer.
func (i *Intake) Cast(ctx context.Context, m *Message) (err error) {
	if err := i.Find(ctx, m, rpc.DeliveryCast); err != nil {
		return err
	}
	ctx, cancel := m.bound(ctx, 0)
	defer cancel()
	if ctx, err = i.enter(ctx, m, rpc.DeliveryCast); err != nil {
		return m.Sign(err)
	}
	if m.IsForwarded() {
		return m.Sign(i.config.Forward.Cast(ctx, m))
	}
	return m.Sign(m.server.Dispatch.Cast(ctx, &m.Request))
}

// Multicall runs a dynamic message and emits the items of its result as the method returns them. It
// ends if emit returns an error.
func (i *Intake) Multicall(ctx context.Context, m *Message, emit func(item string) error) (err error) {
	if err := i.Find(ctx, m, rpc.DeliveryMulticall); err != nil {
		return err
	}
	ctx, cancel := m.bound(ctx, i.config.CallTime)
	defer cancel()
	if ctx, err = i.enter(ctx, m, rpc.DeliveryMulticall); err != nil {
		return m.Sign(err)
	}
	if m.IsForwarded() {
		return i.forwardItems(ctx, m, emit)
	}
	return m.Sign(untilForced(ctx, m.server.Dispatch, &m.Request, func(item string) error {
		if err := i.sendable(item); err != nil {
			return err
		}
		if err := m.Answer(len(item)); err != nil {
			return err
		}
		return emit(item)
	}))
}

package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// intercept is one function of an interceptor.
type intercept = func(ctx context.Context, m *rpc.Message, next rpc.Next) error

// intercepted delivers the message, with the interceptors around it.
func (o *operation) intercepted(ctx context.Context, d deliverer) error {
	t := o.client.transport
	o.request.Metadata = t.config.Metadata(ctx)
	if len(t.sends) == 0 {
		return o.checked(ctx, d)
	}
	m := o.describe()
	if len(o.fallbacks) == 0 {
		o.codec.fill(&o.request, &o.variant)
		m.Arguments = o.arguments(&o.request)
	}
	passed, err := around(ctx, t.sends, m, func(ctx context.Context) error {
		o.request.Metadata = m.Metadata
		return o.checked(ctx, d)
	})
	if err == nil && !passed {
		err = forgotten()
	}
	return o.name(err)
}

// checked delivers the message, if it is within the limits of carriers.
func (o *operation) checked(ctx context.Context, d deliverer) error {
	if err := o.check(); err != nil {
		return o.name(err)
	}
	return d.deliver(ctx)
}

// doIntercepted is do with the interceptors around it.
func (o *operation) doIntercepted(ctx context.Context, a delivery.Attempt) (reply carrier.Reply, err error) {
	err = o.attempted(ctx, a, func(ctx context.Context, r *carrier.Request) (err error) {
		reply, err = a.Entry.Link.Do(ctx, r)
		return err
	})
	return reply, err
}

// openIntercepted is open with the interceptors around it.
func (o *operation) openIntercepted(outer context.Context, a delivery.Attempt) (stream carrier.Stream, err error) {
	err = o.attempted(outer, a, func(ctx context.Context, r *carrier.Request) (err error) {
		stream, err = a.Entry.Link.Open(valued{outer, ctx}, r) //nolint:contextcheck // It has the values of ctx.
		return err
	})
	if err != nil && stream != nil { // an interceptor made the failure
		stream.Close(err)
	}
	return stream, err
}

// valued is a context with the values of another context. Interceptors may cancel their own when
// they return, and the stream must go on.
type valued struct {
	context.Context //nolint:containedctx // It is one.

	values context.Context //nolint:containedctx // As above.
}

// Value implements [context.Context].
func (v valued) Value(key any) any { return v.values.Value(key) }

// attempted makes an attempt with the interceptors around it.
func (o *operation) attempted(ctx context.Context, a delivery.Attempt, send func(context.Context, *carrier.Request) error) error {
	t, r := o.client.transport, o.requestFor(a)
	m := o.describe()
	m.Target.Version, m.ID = r.Target.Version, r.ID
	m.Server, m.InstanceID, m.Addr, m.Attempt = a.Entry.Server, a.Entry.ID, a.Entry.Addr, a.Number
	m.Arguments = o.arguments(r)
	r.Peer = &m.Peer
	passed, err := around(ctx, t.attempts, m, func(ctx context.Context) error {
		r.Metadata = m.Metadata
		if err := t.config.Carrier.Check(r); err != nil {
			return err
		}
		return o.explain(ctx, send(ctx, r))
	})
	switch {
	case passed || rpc.KindOf(err) == rpc.Refused:
		return err
	case err == nil:
		err = forgotten()
	}
	return delivery.End(err)
}

// forgotten returns the error of a message whose interceptor did not call next.
func forgotten() error {
	return failure.Invalid("an interceptor neither sent the message nor returned an error")
}

// describe returns the message in the form that interceptors see, without its arguments.
func (o *operation) describe() *rpc.Message {
	m := &rpc.Message{
		Target: o.request.Target, Method: o.message.Method, Delivery: o.kind.delivery, Monitored: o.request.Silence > 0,
		ID: o.request.ID, OrderKey: o.request.OrderKey, Caller: o.client.transport.config.Caller, Metadata: cloneOf(o.request.Metadata),
	}
	m.Target.Version = o.variant.target
	m.Target.Fanout = o.client.settings.Target.Fanout
	if o.request.Typed != nil {
		m.Service, _, _ = strings.Cut(o.request.Typed.Path[1:], "/")
	}
	return m
}

// arguments returns the arguments of a request in the form that interceptors see. The messages of a
// stream come later.
func (o *operation) arguments(r *carrier.Request) any {
	switch {
	case r.Typed == nil:
		return r.Kwargs
	case o.kind.delivery == rpc.DeliveryStream:
		return nil
	default:
		return r.Typed.Message
	}
}

// cloneOf returns a copy of metadata to which interceptors may add.
func cloneOf(m rpc.Metadata) rpc.Metadata {
	cloned := make(rpc.Metadata, len(m))
	for name, values := range m {
		cloned[name] = slices.Clone(values)
	}
	return cloned
}

// passage is one message on its way through interceptors.
type passage struct {
	list    []intercept
	message *rpc.Message
	last    func(context.Context) error

	mu     sync.Mutex // held while last runs
	passed bool       // last was called
	over   bool       // the interceptors returned
	came   error      // of last
}

// around runs interceptors, the first one outermost, around last, which runs at most once. It
// reports whether last ran.
func around(ctx context.Context, list []intercept, m *rpc.Message, last func(context.Context) error) (passed bool, err error) {
	p := &passage{list: list, message: m, last: last}
	err = p.enter(ctx, 0)
	p.end()
	return p.passed, p.conclude(err)
}

// enter calls interceptor i, or last after all of them.
func (p *passage) enter(ctx context.Context, i int) error {
	if i < len(p.list) {
		return p.list[i](ctx, p.message, func(ctx context.Context) error { return p.enter(ctx, i+1) })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passed || p.over {
		return &rpc.Error{Kind: rpc.Invalid, Message: "an interceptor called next twice, or after it had returned: a message is sent at most once"}
	}
	p.passed = true
	p.came = p.last(ctx)
	return p.came
}

// end waits for last if it still runs, because an interceptor may have called next on another
// goroutine. Later calls do nothing.
func (p *passage) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// conclude turns the error of interceptors into an *rpc.Error that says truthfully whether the
// message may have run.
func (p *passage) conclude(err error) error {
	if err == nil || err == p.came { //nolint:errorlint // It must be the same.
		return err
	}
	if !p.passed {
		e := ours(err, rpc.Error{Kind: kindOf(err)})
		e.NotStarted = true
		return e
	}
	came, failed := errors.AsType[*rpc.Error](p.came)
	if !failed {
		came = &rpc.Error{Kind: rpc.OutcomeUnknown}
	}
	e := ours(err, *came)
	if e.NotStarted = e.NotStarted && came.NotStarted; !e.NotStarted && rpc.IsNotDelivered(e) {
		e.Kind = rpc.OutcomeUnknown
	}
	return e
}

// ours converts an error of an interceptor to an *rpc.Error. Like supplies the fields that the
// error leaves open.
func ours(err error, like rpc.Error) *rpc.Error {
	e := &like
	if known, ok := errors.AsType[*rpc.Error](err); ok {
		*e = *known
		if err == error(known) { //nolint:errorlint // Another one wraps it, and has more to say.
			return e
		}
	}
	e.Message, e.Cause = err.Error(), err
	return e
}

// kindOf returns the kind for the error of an interceptor that did not send a message.
func kindOf(err error) rpc.Kind {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return rpc.Timeout
	case errors.Is(err, context.Canceled):
		return rpc.Canceled
	default:
		return rpc.AccessDenied
	}
}

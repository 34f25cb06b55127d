package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// do makes an attempt that has one reply.
func (o *operation) do(ctx context.Context, a delivery.Attempt) (carrier.Reply, error) {
	if len(o.client.transport.attempts) > 0 {
		return o.doIntercepted(ctx, a)
	}
	reply, err := a.Entry.Link.Do(ctx, o.requestFor(a))
	return reply, o.explain(ctx, err)
}

// open makes an attempt that begins a stream.
func (o *operation) open(ctx context.Context, a delivery.Attempt) (carrier.Stream, error) {
	if len(o.client.transport.attempts) > 0 {
		return o.openIntercepted(ctx, a)
	}
	stream, err := a.Entry.Link.Open(ctx, o.requestFor(a))
	return stream, o.explain(ctx, err)
}

// requestFor returns the request of an attempt. The first attempt of a message for one server needs
// no copy, unless interceptors may change the request.
func (o *operation) requestFor(a delivery.Attempt) *carrier.Request {
	r := &o.request
	if o.kind.toAll || a.Number > 1 || len(o.client.transport.attempts) > 0 {
		r = copyOf(r)
	}
	o.fit(r, a)
	return r
}

// fit adds the details of an attempt to a request.
func (o *operation) fit(r *carrier.Request, a delivery.Attempt) {
	v, e := o.form(a.Variant), a.Entry
	r.Target.Version, r.Target.Server = v.target, ""
	if !o.kind.toAll {
		r.Target.Server = o.client.scope.Server
	}
	r.InstanceID, r.Missed = e.ID, a.Missed
	r.Meant = identity.Server{Exchange: r.Target.Exchange, Topic: r.Target.Topic, Name: e.Server}
	if e.ID == "" { // the process at a static address could not tell which of its servers is meant
		r.Target.Server = cmp.Or(r.Target.Server, e.Server)
	}
	if r.Missed > 0 && r.ID == "" {
		r.ID = o.client.transport.ids.next(&o.block)
	}
	o.codec.fill(r, v)
}

func copyOf(r *carrier.Request) *carrier.Request {
	copied := &carrier.Request{}
	copyTo(copied, r)
	return copied
}

func copyTo(to, r *carrier.Request) {
	*to = *r
	if r.Typed != nil {
		content := *r.Typed
		to.Typed = &content
	}
}

// explain completes the error of an attempt, or of a stream. It adds the registered Go error, and
// the reason if this client canceled the message.
func (o *operation) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	err = o.client.transport.config.Errors.Rebuild(err)
	if rpc.KindOf(err) != rpc.Canceled {
		return err
	}
	r, ours := errors.AsType[reason](context.Cause(ctx))
	if !ours {
		return err
	}
	return failure.With(err, func(e *rpc.Error) { e.Kind, e.Message, e.Cause = r.why.Kind, r.why.Message, err })
}

// reason is the cause with which the client itself cancels a message.
type reason struct{ why *rpc.Error }

// Error returns the text of the reason.
func (r reason) Error() string { return r.why.Error() }

// Unwrap returns the reason.
func (r reason) Unwrap() error { return r.why }

// tooLate returns the reason for canceling a message that took too long.
func tooLate(format string, args ...any) error {
	return reason{&rpc.Error{Kind: rpc.Timeout, Message: fmt.Sprintf(format, args...)}}
}

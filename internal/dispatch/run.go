package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// run runs a message on its worker, and returns the error for its sender.
func (d *Dispatcher) run(e *execution) error {
	err := d.failed(e, protect(e))
	if e.invoked && isFailure(err) {
		e.selected.counters.Failed.Add(1)
	}
	return err
}

// isFailure reports whether err is a failure of the method. It is not if the caller left.
func isFailure(err error) bool {
	kind := rpc.KindOf(err)
	return err != nil && kind != rpc.Canceled && kind != rpc.Timeout
}

// perform decodes the arguments and runs the method. Decoding may take long, so it needs a worker,
// too.
func (e *execution) perform(ctx context.Context) error {
	e.reached = true
	ctx, err := withContext(ctx, e.request)
	if err != nil {
		return err
	}
	ctx, invoke, err := bind(ctx, e.selected.method, e.request)
	if err != nil {
		return notStarted(err)
	}
	e.selected.counters.Started.Add(1)
	e.invoked = true
	err = invoke(ctx, e.emit)
	if err == nil && e.streams() {
		err = e.cutShort(ctx)
	}
	return err
}

// withContext returns ctx with the request context of a message.
func withContext(ctx context.Context, r *Request) (context.Context, error) {
	if err := msgcontext.Check(r.Context); err != nil {
		return nil, err
	}
	if r.HasContext {
		return ctx, nil // and an interceptor may have replaced it
	}
	return msgcontext.Arrived(ctx, r.Context), nil
}

// bind decodes the arguments of a method, and returns the context for the method.
func bind(ctx context.Context, m *Method, r *Request) (prepared context.Context, invoke Invocation, err error) {
	kwargs := r.kwargs()
	if m.Prepare != nil {
		if ctx, kwargs, err = m.Prepare(ctx, kwargs); err != nil {
			return nil, nil, err
		}
	}
	if r.isTyped() {
		invoke = r.Typed.Invoke
	} else if invoke, err = m.Bind(kwargs); err != nil {
		return nil, nil, err
	}
	if m.Around != nil {
		invoke = m.Around(invoke)
	}
	return ctx, invoke, nil
}

// notStarted marks an error of Bind.
func notStarted(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return &rpc.Error{Kind: rpc.BadArguments, Message: err.Error(), NotStarted: true}
	}
	copied := *e
	copied.NotStarted = true
	return &copied
}

// exited returns the error of a message whose method ended its goroutine. It must be called while
// that goroutine ends, for the stack.
func (e *execution) exited() error {
	if e.invoked {
		e.selected.counters.Failed.Add(1)
	}
	if len(e.dispatcher.runs) > 0 && !e.reached {
		return refusal.Denied("an interceptor of the server ended its goroutine (runtime.Goexit) before the method ran")
	}
	return e.dispatcher.failed(e, &MethodError{Err: errExited, Stack: stack()})
}

// streams reports whether more than one message travels, in either direction.
func (e *execution) streams() bool {
	if !e.request.isTyped() {
		return e.selected.method.Streaming
	}
	return e.request.Delivery == rpc.DeliveryMulticall || e.request.Delivery == rpc.DeliveryStream
}

// TimeLimitError is the cause of a context's end if its message reached the time limit of the
// process.
type TimeLimitError time.Duration

// Error returns why the context ended.
func (e TimeLimitError) Error() string {
	return fmt.Sprintf("the time that the server gives a message (CallTime, %v)", time.Duration(e))
}

// late names the time that ran out for a message whose context ended.
func late(ctx context.Context) string {
	if e, is := errors.AsType[TimeLimitError](context.Cause(ctx)); is {
		return e.Error()
	}
	return "the deadline"
}

// cutShort returns an error if a stream ended after its deadline, or after its server was stopped
// by force. The method may have had more items, so the caller must not take the stream for
// complete.
func (e *execution) cutShort(ctx context.Context) error {
	switch {
	case e.dispatcher.base.Err() != nil:
		return ErrCut()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &rpc.Error{Kind: rpc.Timeout, Cause: ctx.Err(), Message: late(ctx) + " passed before the stream ended"}
	default:
		return nil
	}
}

// failed returns the error of a method for its caller; nil stays nil. A method that gives up at its
// caller's deadline is not to blame.
func (d *Dispatcher) failed(e *execution, err error) error {
	failure, ok := errors.AsType[*MethodError](err)
	switch {
	case !ok:
		return d.discreet(e, err)
	case errors.Is(e.ctx.Err(), context.DeadlineExceeded) && failure.is(context.DeadlineExceeded):
		return &rpc.Error{Kind: rpc.Timeout, Cause: failure.Err, Message: late(e.ctx) + " passed while the method ran"}
	}
	cause := failure.remote(d.config.Name, d.config.Describe)
	if d.config.Discreet {
		return d.conceal(e, failure, cause)
	}
	d.report(e.ctx, e.request, cause, "", isExpected(e.selected.method, failure) || d.leftAlone(e.ctx, failure))
	remote := &rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause}
	if e.request.isTyped() {
		remote.Cause = &Failure{Remote: cause, Own: failure.Err}
	}
	return remote
}

// expired is the error for a message whose caller left before it ran, or whose server was stopped
// by force.
func (d *Dispatcher) expired(ctx context.Context, err error) error {
	if d.base.Err() != nil {
		return refusal.New(refusal.Stopping)
	}
	e := &rpc.Error{Kind: rpc.Timeout, NotStarted: true, Cause: err, Message: late(ctx) + " passed before a worker was free; it was not started"}
	if errors.Is(err, context.Canceled) {
		e.Kind, e.Message = rpc.Canceled, "the caller went away before a worker was free; it was not started"
	}
	return e
}

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

// isFailure reports whether err is a failure of the method. If the caller canceled the call, or its
// deadline passed, err is not.
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

// notStarted marks an error of Prepare or Bind as one that occurred before the method ran.
func notStarted(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return &rpc.Error{Kind: rpc.BadArguments, Message: err.Error(), NotStarted: true}
	}
	copied := *e
	copied.NotStarted = true
	return &copied
}

// exited returns the error of a message whose method or interceptor ended the goroutine. Call it on
// that goroutine while it ends: it records the stack.
func (e *execution) exited() error {
	if e.invoked {
		e.selected.counters.Failed.Add(1)
	}
	if len(e.dispatcher.runs) > 0 && !e.reached {
		return refusal.Denied("an interceptor of the server ended its goroutine (runtime.Goexit) before the method ran")
	}
	return e.dispatcher.failed(e, &MethodError{Err: errExited, Stack: stack()})
}

// streams reports whether the method sends or receives more than one message.
func (e *execution) streams() bool {
	if !e.request.isTyped() {
		return e.selected.method.Streaming
	}
	return e.request.Delivery == rpc.DeliveryMulticall || e.request.Delivery == rpc.DeliveryStream
}

// TimeLimitError is the [context.Cause] of a message that reached the time limit of the process,
// CallTime. Its value is the limit.
type TimeLimitError time.Duration

// Error names the time limit, as the subject of a sentence.
func (e TimeLimitError) Error() string {
	return fmt.Sprintf("the time that the server gives a message (CallTime, %v)", time.Duration(e))
}

// late names the time limit or deadline that passed, as the subject of a sentence.
func late(ctx context.Context) string {
	if e, is := errors.AsType[TimeLimitError](context.Cause(ctx)); is {
		return e.Error()
	}
	return "the deadline"
}

// cutShort returns an error if a method returned after its deadline, or after its server was
// stopped by force. The method may have stopped before its last item, so the stream must not look
// complete to the caller.
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

// failed converts the error of an execution to the error for the caller; nil stays nil. If a method
// failed because its caller's deadline passed, the error is a timeout, not a failure of the method.
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

// expired returns the error for a message that did not run before ctx ended: its caller canceled
// it, its deadline passed, or its server was stopped by force.
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

package dispatch

import (
	"context"
	"sync/atomic"
)

// Executor runs a function, once, on a goroutine of its choice. It may return before the function
// has run. If ctx has ended before the function begins, the function does nothing and need not be
// run. At most as many functions are outstanding as the server has workers.
type Executor func(ctx context.Context, run func())

// execution is the execution of one accepted message.
type execution struct {
	dispatcher *Dispatcher
	ctx        context.Context //nolint:containedctx // It is passed between goroutines.
	request    *Request
	selected   selected
	emit       Emit

	// started: the message ran. Otherwise err says why ctx ended before it did.
	started bool
	err     error
	// reached: the message passed the interceptors.
	reached bool
	// invoked: the method itself was called.
	invoked bool
	// over gets a value when the execution has ended on another goroutine; see [execution.apart].
	over chan struct{}
}

// newExecution returns the execution of a message. Recycle it when it is over.
func (d *Dispatcher) newExecution(ctx context.Context, r *Request, sel selected, emit Emit) *execution {
	e, ok := d.executions.Get().(*execution)
	if !ok {
		e = &execution{over: make(chan struct{}, 1)}
	}
	e.dispatcher, e.ctx, e.request, e.selected, e.emit = d, ctx, r, sel, emit
	return e
}

func (e *execution) recycle() {
	d := e.dispatcher
	*e = execution{over: e.over}
	d.executions.Put(e)
}

// execute runs the message with the executor, or on this goroutine if there is no executor. It does
// not return if the method or the executor ends this goroutine, but it sets the outcome in any
// case.
func (e *execution) execute() {
	if e.dispatcher.config.Execute == nil {
		e.run()
	} else {
		e.handOver()
	}
}

// run runs the message on this goroutine, which the method may end.
func (e *execution) run() {
	e.started = true
	returned := false
	defer func() {
		if !returned {
			e.err = e.exited()
		}
	}()
	e.err = e.dispatcher.run(e)
	returned = true
}

// handOver passes the message to the executor, and returns when the message has ended, or when ctx
// ended before it began. The executor's goroutine claims the message to run it, and this goroutine
// claims it to give it up. The first claim decides.
func (e *execution) handOver() {
	var claimed atomic.Bool
	ended := make(chan struct{})
	returned := false
	defer func() {
		if returned {
			return
		}
		panicked := recover() // nil if the executor ended this goroutine
		if claimed.Swap(true) {
			<-ended
			e.dispatcher.logExecutor(e.ctx, panicked)
			return
		}
		e.started, e.err = true, e.unexecuted(panicked)
	}()
	e.dispatcher.config.Execute(e.ctx, func() {
		if claimed.Swap(true) {
			return
		}
		defer close(ended)
		e.run()
	})
	returned = true
	select {
	case <-ended:
		return
	case <-e.ctx.Done():
	}
	if claimed.Swap(true) {
		<-ended
	} else {
		e.err = e.ctx.Err()
	}
}

// unexecuted returns the error of a message that the executor did not run: it panicked with value,
// or ended its goroutine if value is nil.
func (e *execution) unexecuted(value any) error {
	if value == nil {
		return e.exited()
	}
	return e.dispatcher.failed(e, panicked(value))
}

// logExecutor logs that the executor panicked after it ran a message. The message has its outcome.
func (d *Dispatcher) logExecutor(ctx context.Context, value any) {
	if value != nil {
		d.config.Log.ErrorContext(ctx, "the function of WithExecutorFunc panicked", "server", d.config.Name, "panic", value, "stack", stack())
	}
}

// apart executes a message on a new goroutine, and returns when it is over. The calling goroutine
// belongs to the carrier: if a method ended it (runtime.Goexit), the sender would get no answer.
func (e *execution) apart() {
	go func() {
		defer func() { e.over <- struct{}{} }()
		e.execute()
	}()
	<-e.over
}

package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/oslorpc/oslorpc/internal/deadline"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config is the configuration of a dispatcher.
type Config struct {
	// Name is the name of the server.
	Name   string
	Table  *Table
	Limits Limits
	// Phase decides whether the server accepts and runs messages.
	Phase *phase.Machine
	Log   *slog.Logger
	// Interceptors run around the methods. The intake uses their Accept.
	Interceptors []rpc.Interceptor
	// Describe returns the registered name of a method's error; it may be nil.
	Describe DescribeFunc
	// Discreet servers send only the failures that the program meant for its callers.
	Discreet bool
	// Execute decides where methods run; nil for one goroutine per message.
	Execute Executor
	// OnAccept is called with each message that the server accepts, in the order of acceptance; it may
	// be nil. It must not block, nor call the dispatcher.
	OnAccept func(*Request)
}

// Dispatcher runs the messages of one instance.
type Dispatcher struct {
	config Config
	runs   []runFunc // around methods

	queue *queue
	// executions keeps ended executions for later messages.
	executions sync.Pool
	stats      callStats

	// base is the context that force cancels, to end the contexts of running methods.
	base  context.Context //nolint:containedctx // Casts outlive what carried them.
	force context.CancelCauseFunc

	mu       sync.Mutex // before the lock of the queue
	windows  windows    // guarded by mu
	accepted int        // messages that were accepted and have not ended; it stops growing once the phase refuses messages
	ended    chan struct{}
	endOnce  sync.Once // closes ended when the phase refuses and no accepted message is left
	forced   error     // how many messages a forced stop ended, for Stop to return
}

// New returns the dispatcher of a server.
func New(c Config) *Dispatcher {
	c.Log = lograte.New(c.Log) // peers cause the log lines, and must not fill the log
	d := &Dispatcher{
		config: c, runs: runsOf(c.Interceptors), queue: &queue{limits: c.Limits, phase: c.Phase}, windows: windows{}, ended: make(chan struct{}),
	}
	d.base, d.force = context.WithCancelCause(context.Background())
	return d
}

// Phase returns the phase that the server is in.
func (d *Dispatcher) Phase() phase.Phase { return d.config.Phase.Phase() }

// Release ends a hold: workers begin to run the waiting messages, in the order of arrival. If the
// server is not held, Release does nothing.
func (d *Dispatcher) Release() {
	d.config.Phase.Release()
	d.queue.resume()
}

// Table returns what the server serves.
func (d *Dispatcher) Table() *Table { return d.config.Table }

// Load returns how busy the server is.
func (d *Dispatcher) Load() Load { return d.queue.load() }

// Call runs a message, emits the items of its result, and returns when it has ended. An error is an
// *rpc.Error. If r.InPlace is nil, the method and emit run on their own goroutine. Otherwise they
// run on the caller's, and Call does not return if the method ends that goroutine (runtime.Goexit).
func (d *Dispatcher) Call(ctx context.Context, r *Request, emit Emit) error {
	sel, ticket, err := d.accept(r)
	if errors.Is(err, errRepeated) {
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the message was received before"}
	}
	if err != nil {
		return err
	}
	defer d.end()
	ctx, joined := d.context(ctx, r)
	defer joined.release()
	e := d.newExecution(ctx, r, sel, emit)
	defer e.recycle()
	if r.InPlace != nil {
		return e.inPlace(ticket)
	}
	started, err := e.work(ticket, (*execution).apart)
	return e.outcome(started, err)
}

// inPlace executes a message on this goroutine. If the method ends the goroutine, the carrier gets
// the outcome before the goroutine is gone.
func (e *execution) inPlace(t *ticket) error {
	returned := false
	defer func() {
		if !returned && e.err != nil {
			e.request.InPlace.Exited(e.outcome(true, e.err))
		}
	}()
	started, err := e.work(t, (*execution).execute)
	returned = true
	return e.outcome(started, err)
}

// outcome returns the error of a call whose execution is over. If the message did not start,
// outcome forgets its id, so that the caller may send it again.
func (e *execution) outcome(started bool, err error) error {
	if !started {
		err = e.dispatcher.expired(e.ctx, err)
	}
	if rpc.SafeToRetry(err) {
		e.dispatcher.forget(e.request)
	}
	return err
}

// Cast accepts a message, or refuses it, and runs it later. The method's context has the values of
// ctx, and does not end with it. An error is an *rpc.Error, and means that the message was not
// accepted. A repeated message is accepted and does not run again. If the request has an Accepter,
// Cast runs the message before it returns, and does not return if the method ends its goroutine.
func (d *Dispatcher) Cast(ctx context.Context, r *Request) error {
	sel, ticket, err := d.accept(r)
	if err != nil {
		r.end()
	}
	if errors.Is(err, errRepeated) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, joined := d.context(deadline.Lasting{Context: ctx}, r)
	if r.Accepter == nil {
		go d.runCast(ctx, joined, r, sel, ticket) //nolint:contextcheck // It outlives the caller's.
		return nil
	}
	r.Accepter.Accepted()
	d.runCast(ctx, joined, r, sel, ticket) //nolint:contextcheck // It outlives the caller's.
	return nil
}

// runCast runs a cast that was accepted. It does not return if the method ends this goroutine.
func (d *Dispatcher) runCast(ctx context.Context, joined *runContext, r *Request, sel selected, ticket *ticket) {
	defer d.end()
	defer r.end()
	defer joined.release()
	e := d.newExecution(ctx, r, sel, drop)
	defer e.recycle()
	started, err := e.work(ticket, (*execution).execute)
	switch {
	case !started:
		d.config.Log.WarnContext(ctx, "cast dropped by a forced stop", "server", d.config.Name, "method", r.Method)
	case err != nil && rpc.KindOf(err) != rpc.Remote: // errors of the method itself are logged already
		d.config.Log.ErrorContext(ctx, "cast failed", "server", d.config.Name, "method", r.Method, "error", err)
	}
}

// work waits for a worker and executes a message. If the message did not start because its context
// ended, started is false and the error is the context's.
func (e *execution) work(t *ticket, execute func(*execution)) (started bool, err error) {
	if err := t.wait(e.ctx); err != nil {
		return false, err
	}
	defer t.done()
	execute(e)
	return e.started, e.err
}

// drop is the emit function of casts: it discards the result.
func drop(string) error { return nil }

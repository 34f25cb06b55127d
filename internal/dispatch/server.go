package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/requestctx"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Request is a message as a server sees it, whatever carried it.
type Request struct {
	Method    string
	Namespace string
	Version   rpc.Version
	// Kwargs and Context are the texts of JSON objects; Context may be empty.
	Kwargs, Context string
	// ID identifies the message; empty if it cannot be told from a repeated one.
	ID string
	// OrderKey makes messages with the same one run one after the other, in the order in which they
	// are accepted; empty for none.
	OrderKey string
	// Caller is the name that the sender's program gives itself; [UnknownCaller] if it gives none.
	Caller string
	// Multicall: whoever sent it takes all items, not only the last.
	Multicall bool
	// Typed is what a message of a typed service has in place of keyword arguments; nil for others.
	Typed *Typed
}

// Typed is the part of a message of a typed service that its carrier has decoded.
type Typed struct {
	// Service is the service's full protobuf name.
	Service string
	// Invoke runs the method.
	Invoke Invocation
	// Size is what the message counts for in the queue, in bytes.
	Size int
}

// Delivery says how a message came.
type Delivery string

// The deliveries.
const (
	Call      Delivery = "call"
	Cast      Delivery = "cast"
	Multicall Delivery = "multicall"
)

// size is what the message counts for in the queue.
func (r *Request) size() int {
	n := len(r.Kwargs) + len(r.Context) + len(r.Method) + len(r.OrderKey)
	if r.Typed != nil {
		n += r.Typed.Size
	}
	return n
}

// Server runs the messages of one instance.
type Server struct {
	name  string
	table *Table
	log   *slog.Logger
	queue *queue
	// execute says where methods run; nil for a goroutine for each message.
	execute Executor
	// executions keeps the ended ones for the next messages.
	executions sync.Pool
	// onAccept is called with each message that is accepted; it may be nil.
	onAccept func(*Request, Delivery)
	census   census

	// force ends the contexts of what runs.
	base  context.Context //nolint:containedctx // Casts outlive what carried them.
	force context.CancelCauseFunc
	phase *phase.Machine

	mu       sync.Mutex // before the lock of the queue
	window   *window    // guarded by mu
	accepted int        // messages that were accepted and have not ended; it grows no more once the phase refuses
	ended    chan struct{}
	endOnce  sync.Once // closes ended when the phase refuses and no accepted message is left
	forced   error     // what a forced stop did, for Stop to return
}

// NewServer returns a server named name. Its phase decides whether it accepts and runs messages.
func NewServer(name string, table *Table, limits Limits, p *phase.Machine, log *slog.Logger) *Server {
	s := &Server{
		name: name, table: table, log: log, queue: &queue{limits: limits, phase: p}, window: newWindow(),
		phase: p, ended: make(chan struct{}),
	}
	s.base, s.force = context.WithCancelCause(context.Background())
	return s
}

// OnAccept has f called with each message as it is accepted, in that order; f must not wait, nor call the server. It must be called
// before the first message comes.
func (s *Server) OnAccept(f func(*Request, Delivery)) { s.onAccept = f }

// Phase returns the phase that the server is in.
func (s *Server) Phase() phase.Phase { return s.phase.Phase() }

// Release ends a hold: workers run the messages that wait, in the order of arrival, and those that
// come. If the server is not held, Release does nothing.
func (s *Server) Release() {
	s.phase.Release()
	s.queue.resume()
}

// Table returns what the server serves.
func (s *Server) Table() *Table { return s.table }

// Load returns how busy the server is.
func (s *Server) Load() Load { return s.queue.load() }

// Call runs a message, emits the items of its result, and returns when it has ended. An error is
// an *rpc.Error. The method, and emit, run on another goroutine than the caller's.
func (s *Server) Call(ctx context.Context, r *Request, emit Emit) error {
	delivery := Call
	if r.Multicall {
		delivery = Multicall
	}
	sel, ticket, err := s.accept(r, delivery)
	if errors.Is(err, errRepeated) {
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the message was received before"}
	}
	if err != nil {
		return err
	}
	defer s.end()
	ctx, release := s.context(ctx, r)
	defer release()
	e := s.newExecution(ctx, r, sel, emit)
	defer e.recycle()
	started, err := s.work(ticket, e, (*execution).apart)
	if !started {
		err = s.expired(err)
	}
	if rpc.SafeToRetry(err) {
		s.forget(r.ID)
	}
	return err
}

// Cast accepts a message, or refuses it, and runs it later. An error is an *rpc.Error, and means that it is not accepted. A
// repeated message is accepted and not run again.
func (s *Server) Cast(r *Request) error {
	sel, ticket, err := s.accept(r, Cast)
	if errors.Is(err, errRepeated) {
		return nil
	}
	if err != nil {
		return err
	}
	go func() {
		defer s.end()
		ctx, release := s.context(s.base, r)
		defer release()
		e := s.newExecution(ctx, r, sel, drop)
		defer e.recycle()
		started, err := s.work(ticket, e, (*execution).execute)
		switch {
		case !started:
			s.log.Warn("cast dropped by a forced stop", "server", s.name, "method", r.Method)
		case err != nil && rpc.KindOf(err) != rpc.Remote: // what the method itself returned is logged already
			s.log.Error("cast failed", "server", s.name, "method", r.Method, "error", err)
		}
	}()
	return nil
}

// drop takes the result of a cast.
func drop(string) error { return nil }

// work waits for a worker and executes a message. If it did not start, the error is why its
// context ended.
func (s *Server) work(t *ticket, e *execution, execute func(*execution)) (started bool, err error) {
	if err := t.wait(e.ctx); err != nil {
		return false, err
	}
	defer t.done()
	execute(e)
	return e.started, e.err
}

var errRepeated = errors.New("repeated message")

// accept selects the method and admits the message. If it succeeds, the message counts as accepted until end. The census has the
// messages that nothing here serves, too: they show who would break.
func (s *Server) accept(r *Request, delivery Delivery) (selected, *ticket, error) {
	now := time.Now()
	sel, err := s.table.lookup(r)
	if err != nil {
		s.census.count(ask(r), true, now)
		return selected{}, nil, err
	}
	ticket, err := s.take(r, delivery, now)
	if err != nil {
		return selected{}, nil, err
	}
	s.census.count(ask(r), false, now)
	return sel, ticket, nil
}

// take admits a message whose method is there.
func (s *Server) take(r *Request, delivery Delivery, now time.Time) (*ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// This comes first, whatever else would refuse the message: "not started" must not be said of one that may have run.
	if !s.window.add(r.ID, now) {
		return nil, errRepeated
	}
	ticket, err := s.admit(r)
	if err != nil {
		s.window.forget(r.ID)
		return nil, err
	}
	s.accepted++
	if s.onAccept != nil {
		s.onAccept(r, delivery)
	}
	return ticket, nil
}

// admit takes a message into the queue, or refuses it. The lock is held.
func (s *Server) admit(r *Request) (*ticket, error) {
	if s.phase.Phase().Refuses() {
		return nil, refusal.New(refusal.Stopping)
	}
	if ticket := s.queue.admit(r.size(), r.OrderKey); ticket != nil {
		return ticket, nil
	}
	return nil, refusal.New(refusal.Full)
}

// forget lets a message come again that was accepted and, as its caller is told, not started.
func (s *Server) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window.forget(id)
}

// end is called when an accepted message has ended.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted--
	s.closeEnded()
}

// closeEnded tells Stop when no message is left. The lock is held.
func (s *Server) closeEnded() {
	if s.accepted == 0 && s.phase.Phase().Refuses() {
		s.endOnce.Do(func() { close(s.ended) })
	}
}

// context returns the context for a message that came with ctx.
func (s *Server) context(ctx context.Context, r *Request) (joined context.Context, release func()) {
	c := &runContext{Context: ctx, server: s, info: Info{
		Server: s.name, Namespace: r.Namespace, Method: r.Method, Version: r.Version, MessageID: r.ID, Caller: r.Caller,
	}}
	return c, c.release
}

// expired is the error for a message that nobody waits for any more before it ran, or whose server was stopped by force.
func (s *Server) expired(err error) error {
	if s.base.Err() != nil {
		return refusal.New(refusal.Stopping)
	}
	e := &rpc.Error{Kind: rpc.Timeout, NotStarted: true, Cause: err, Message: "the deadline passed before a worker was free; it was not started"}
	if errors.Is(err, context.Canceled) {
		e.Kind, e.Message = rpc.Canceled, "the caller went away before a worker was free; it was not started"
	}
	return e
}

// run decodes the arguments, on the worker, since decoding may itself take long, and runs the method.
func (s *Server) run(e *execution) error {
	ctx, err := requestctx.WithText(e.ctx, e.request.Context)
	if err != nil {
		return err
	}
	ctx, invoke, err := s.bound(ctx, e.request, e.selected.method)
	if err != nil {
		return err
	}
	e.selected.counters.Started.Add(1)
	e.invoked = true
	err = protect(ctx, invoke, e.emit)
	if err == nil && e.streams() {
		err = e.cutShort(ctx)
	}
	err = s.failed(ctx, e.request, e.selected.method, err)
	switch kind := rpc.KindOf(err); {
	case err == nil, kind == rpc.Canceled, kind == rpc.Timeout: // that the caller wants no more items is no failure
	default:
		e.selected.counters.Failed.Add(1)
	}
	return err
}

// exited is the error of a message whose method ended the goroutine that it ran on. It must be
// called while that goroutine ends, for the stack.
func (e *execution) exited() error {
	if e.invoked {
		e.selected.counters.Failed.Add(1)
	}
	failure := &MethodError{Err: errExited, Stack: stack()}
	return e.server.failed(e.ctx, e.request, e.selected.method, failure)
}

// bound returns the method with its arguments, and the context that it is to have.
func (s *Server) bound(ctx context.Context, r *Request, m *Method) (context.Context, Invocation, error) {
	prepared, invoke, err := bind(ctx, m, r)
	if err != nil {
		return nil, nil, s.failed(ctx, r, m, notStarted(err))
	}
	return prepared, invoke, nil
}

// streams reports whether more than one message travels, in either direction.
func (e *execution) streams() bool {
	return e.selected.method.Streaming || e.request.Typed != nil && e.request.Multicall
}

// cutShort returns an error if a stream ended when the deadline had passed, or when its server was
// stopped by force: it is not known whether there was more to say, and the caller must not take it
// for whole.
func (e *execution) cutShort(ctx context.Context) error {
	switch {
	case e.server.base.Err() != nil:
		return ErrCut()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &rpc.Error{Kind: rpc.Timeout, Cause: ctx.Err(), Message: "the deadline passed before the stream ended"}
	default:
		return nil
	}
}

// ErrCut returns the error of a stream whose server was stopped by force.
func ErrCut() error {
	return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the server was stopped by force before the stream ended: what arrived is not all"}
}

// failed returns the error of a method as its caller sees it; nil stays nil. A method that gives up at its
// caller's deadline is not to blame for it.
func (s *Server) failed(ctx context.Context, r *Request, m *Method, err error) error {
	failure, ok := errors.AsType[*MethodError](err)
	switch {
	case !ok:
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && failure.is(context.DeadlineExceeded):
		return &rpc.Error{Kind: rpc.Timeout, Cause: failure.Err, Message: "the deadline passed while the method ran"}
	}
	cause := failure.remote(s.name)
	s.report(ctx, r, cause, isExpected(m, failure) || s.leftAlone(ctx, failure))
	return &rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause}
}

// notStarted marks an error of Bind. A panic is no fault of the arguments, and stays one.
func notStarted(err error) error {
	var failure *MethodError
	var e *rpc.Error
	switch {
	case errors.As(err, &failure):
		return err
	case errors.As(err, &e):
		copied := *e
		copied.NotStarted = true
		return &copied
	default:
		return &rpc.Error{Kind: rpc.BadArguments, Message: err.Error(), NotStarted: true}
	}
}

// Stop refuses messages from now on and returns when the accepted ones have ended. Messages that
// were held begin to run. If ctx ends first, Stop ends the contexts of what runs, waits no longer,
// and returns an error. It also returns an error if Force ended them meanwhile.
func (s *Server) Stop(ctx context.Context) error {
	s.refuse()
	s.queue.resume()
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.Force(context.Cause(ctx))
	}
	defer s.force(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.forced
	s.forced = nil
	return err
}

// Force refuses messages from now on and ends the contexts of what runs, for a cause. If nothing
// runs, that is no force.
func (s *Server) Force(cause error) {
	s.refuse()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted == 0 || s.base.Err() != nil {
		return
	}
	load := s.Load()
	s.forced = &rpc.Error{Kind: rpc.Timeout, Cause: cause, Message: fmt.Sprintf(
		"server %q was stopped by force: %d messages were running and %d waiting", s.name, load.Running, load.Queued)}
	s.force(&rpc.Error{Kind: rpc.Canceled, Cause: cause, Message: fmt.Sprintf("server %q was stopped by force", s.name)})
}

// Forced is closed when the server has been stopped, by force if anything still runs.
func (s *Server) Forced() <-chan struct{} { return s.base.Done() }

// refuse refuses messages from now on.
func (s *Server) refuse() {
	s.phase.Refuse()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeEnded()
}

package host

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// run is one run of a server, from the beginning of a start to the end of the stop.
type run struct {
	server   *Server
	config   *ServerConfig
	phase    *phase.Machine
	dispatch *dispatch.Dispatcher
	loop     runLoop // of a blocking server, else nil
	began    time.Time
	log      *slog.Logger
	// reasons and reports pass texts that say why messages may have been missed to the goroutine
	// that calls the program. Each has room for one text. Reasons are from this process; reports
	// are from senders. Both are nil if the program set no function. Reported is when that
	// goroutine last passed on a report; only it uses the field.
	reasons, reports chan string
	reported         time.Time

	// intake is the server as the intake knows it. The site completes its instance when the server
	// is added; after that, it does not change.
	intake intake.Server
	// change is the announcer's number of the last change of this run, and noted is the phase after
	// that change. The host's lock guards them.
	change uint64
	noted  phase.Phase

	// starting is the context of the start. It ends with the ctx of the caller that starts the
	// server, or with giveUp.
	starting context.Context //nolint:containedctx // A stop and a shutdown end the start, too.
	giveUp   context.CancelCauseFunc
	started  chan struct{} // closed when the start is over
	startErr error         // of the start; read it after started

	ending bool  // the stop began; guarded by the server's lock
	err    error // of the stop; read it when the phase is Stopped
	// stopCtx is the context of the stop. ForceStop ends it, when a caller that waits for the stop
	// gives up.
	stopCtx   context.Context //nolint:containedctx // The stop is not one caller's.
	forceStop context.CancelCauseFunc
	bounded   sync.Once // starts the timer of a stop without a caller's context
}

func newRun(ctx context.Context, s *Server, what *served) *run {
	c := &s.config
	r := &run{server: s, config: c, phase: phase.NewMachine(), log: s.host.config.Log, began: time.Now(), started: make(chan struct{})}
	if c.Missed != nil {
		r.reasons, r.reports = make(chan string, 1), make(chan string, 1)
	}
	r.starting, r.giveUp = context.WithCancelCause(ctx)
	r.stopCtx, r.forceStop = context.WithCancelCause(context.Background())
	r.dispatch, r.loop = s.host.dispatcher(c, what.table, r.phase)
	r.intake = intake.Server{Dispatch: r.dispatch, Missed: r.undelivered, Services: what.services, Instance: rpc.Instance{
		Exchange: cmp.Or(c.Target.Exchange, s.host.config.Exchange), Topic: c.Target.Topic, Server: c.Target.Server,
		Implemented: what.table.Implemented(),
	}}
	return r
}

// instance returns the server as discovery should list it. A server whose stop has begun takes only
// messages that name it.
func (r *run) instance() rpc.Instance {
	i := r.intake.Instance
	switch r.phase.Phase() {
	case phase.Held:
		i.State = rpc.StateHeld
	case phase.Active:
		i.State = rpc.StateActive
	default:
		i.State = rpc.StateDraining
	}
	return i
}

func (r *run) isEnding() bool { return r.phase.Phase().IsEnding() }

// isFailed reports whether the start failed. Call it after the start is over.
func (r *run) isFailed() bool { return r.startErr != nil }

// discard ends a run whose start failed. Senders may have sent messages to it nevertheless. These
// messages still run, except with the executor Blocking, whose goroutine does not exist yet.
func (r *run) discard() {
	r.phase.Leave()
	if r.loop != nil {
		r.forceStop(nil)
	}
	go func() {
		defer r.forceStop(nil)
		_ = r.dispatch.Stop(r.stopCtx) // the dispatcher logs the messages that it drops
	}()
}

// forcedWithin is how long methods may take to return after bound has canceled their contexts.
const forcedWithin = 2 * time.Second

// bound forces the stop if it has not ended after d: it cancels the contexts of running methods,
// and then no longer waits for methods that do not return.
func (r *run) bound(d time.Duration) {
	if r.stopsWithin(d) {
		return
	}
	r.dispatch.Force(context.DeadlineExceeded)
	if !r.stopsWithin(forcedWithin) {
		r.forceStop(context.DeadlineExceeded)
	}
}

func (r *run) stopsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.phase.Stopped():
		return true
	case <-timer.C:
		return false
	}
}

// tooLate returns the error of an operation whose ctx ended. If the cause is an *rpc.Error, such as
// the reason for giving up a start, it returns that.
func tooLate(ctx context.Context, message string) error {
	if e, ok := errors.AsType[*rpc.Error](context.Cause(ctx)); ok {
		return e
	}
	kind := rpc.Timeout
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = rpc.Canceled
	}
	return &rpc.Error{Kind: kind, NotStarted: true, Cause: ctx.Err(), Message: message}
}

func errStoppedEarly() error {
	return &rpc.Error{Kind: rpc.Canceled, NotStarted: true, Message: "the server was stopped while it started"}
}

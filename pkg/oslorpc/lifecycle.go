package oslorpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
)

// serverRun is a server from the begin of a start to the end of its stop.
type serverRun struct {
	phase    *phase.Machine
	dispatch *dispatch.Dispatcher
	instance discovery.Instance
	turns    turns // of a blocking server, else nil
	began    time.Time
	reasons  chan string // why messages may have been missed, with room for one; nil if the program does not want to know

	// starting bounds the start, by the ctx of its caller and by giveUp.
	starting context.Context //nolint:containedctx // A stop and a shutdown end the start, too.
	giveUp   context.CancelCauseFunc
	started  chan struct{} // closed when the start is over
	startErr error         // of the start; read it after started

	ending bool  // the stop began; guarded by the server's lock
	err    error // of the stop; read it when the phase is Stopped
	// patience ends when a caller that stops the server no longer waits for it.
	patience context.Context //nolint:containedctx // The stop is not one caller's.
	hurry    context.CancelCauseFunc
	bounded  sync.Once // bounds a stop by WithStopTimeout
}

func (r *serverRun) isEnding() bool { return r.phase.Phase().IsEnding() }

// isFailed reports whether the start failed; ask after it is over.
func (r *serverRun) isFailed() bool { return r.startErr != nil }

// discard ends a run that was not announced. Somebody who knows the address may have sent it something all the same, which runs, unless
// nobody is there to run it.
func (r *serverRun) discard() {
	r.phase.Leave()
	if r.turns != nil {
		r.hurry(nil)
	}
	go func() {
		defer r.hurry(nil)
		_ = r.dispatch.Stop(r.patience) // it logs what it drops
	}()
}

// Start makes the server ready for messages and announces it. When it returns, whoever reads discovery anew finds it; clients
// that watch the topic hear of it within moments. With [WithHold], it returns when the server has seen itself in discovery, and those
// had the time to hear of it.
//
// Ctx bounds the start only. A server that runs is left as it is; one that stops is started when it has stopped. A start that
// failed leaves nothing behind and can be tried again.
func (s *Server) Start(ctx context.Context) error {
	_, _, err := s.start(ctx, false)
	return err
}

// start returns the run that the server has then, and whether it is a new one. Works is true if the caller lends its goroutine
// to the executor.
func (s *Server) start(ctx context.Context, works bool) (run *serverRun, isNew bool, err error) {
	run, isNew, err = s.bringUp(ctx, works)
	if err == nil && isNew && s.started != nil {
		s.started(run.instance)
	}
	return run, isNew, err
}

// bringUp is start, without telling the program.
func (s *Server) bringUp(ctx context.Context, works bool) (run *serverRun, isNew bool, err error) {
	for {
		run, isNew, err = s.begin(ctx, works)
		switch {
		case err != nil:
			return nil, false, err
		case isNew:
			return run, true, s.launch(run) //nolint:contextcheck // The run has the context.
		}
		if runs, err := s.join(ctx, run); runs || err != nil {
			return run, false, err
		}
	}
}

// begin returns the run that the server has, or else a new one, which is to be launched.
func (s *Server) begin(ctx context.Context, works bool) (run *serverRun, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return s.run, false, nil
	}
	run, err = s.newRun(ctx, works)
	if err != nil {
		return nil, false, err
	}
	if err := s.transport.enlist(s); err != nil {
		run.giveUp(nil)
		return nil, false, err
	}
	s.run = run
	return run, true, nil
}

// launch brings the server up.
func (s *Server) launch(run *serverRun) error {
	defer run.giveUp(nil)
	run.startErr = s.transport.addServer(run.starting, s, run)
	if run.isFailed() {
		run.discard()
		s.forget(run)
		close(run.started)
		return run.startErr
	}
	if s.missed != nil {
		s.transport.lapses.listen(run, s.missed)
	}
	close(run.started)
	if !s.hold {
		return nil
	}
	if err := s.awaitSeen(run.starting, run); err != nil {
		s.endRun(context.WithoutCancel(run.starting), run)
		if run.turns != nil { // others may have seen it, and nobody else runs what they sent
			run.turns.work(run.phase.Stopped())
		}
		return err
	}
	return nil
}

// forget ends a run that has stopped, or failed to start: the server can be started again.
func (s *Server) forget(run *serverRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
	s.transport.delist(s)
	run.phase.End()
}

// join waits for the start of a run, and reports whether the server runs then. If not, so it has
// stopped, or the start failed, and it can be started again.
func (s *Server) join(ctx context.Context, run *serverRun) (runs bool, err error) {
	select {
	case <-run.started:
	case <-ctx.Done():
		return false, tooLate(ctx, "the server still starts, for another caller")
	}
	if !run.isFailed() && !run.isEnding() {
		return true, nil
	}
	if run.dispatch.Runs(ctx) {
		return false, invalidUse("server %q stops, and waits for this method to end: it can be started after that", s.target.Server)
	}
	select {
	case <-run.phase.Stopped():
		return false, nil
	case <-ctx.Done():
		return false, tooLate(ctx, "the server still stops, and can be started only after that")
	}
}

// tooLate is the error of a start whose ctx ended, or that was given up.
func tooLate(ctx context.Context, message string) error {
	if e, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		return e
	}
	kind := Timeout
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = Canceled
	}
	return &Error{Kind: kind, NotStarted: true, Cause: ctx.Err(), Message: message}
}

// newRun checks how the server is set up. The lock is held.
func (s *Server) newRun(ctx context.Context, works bool) (*serverRun, error) {
	if err := s.target.ValidateServer(); err != nil {
		return nil, err
	}
	if s.limits.Workers < 1 || s.limits.Queue < 0 || s.limits.QueueBytes < 0 {
		return nil, invalidUse("a server needs at least one worker, and a queue that is not negative")
	}
	if err := s.checkExecutor(works); err != nil {
		return nil, err
	}
	table, err := s.table()
	if err != nil {
		return nil, err
	}
	p := phase.NewMachine()
	run := &serverRun{
		phase: p, instance: s.instance(table), began: time.Now(), started: make(chan struct{}),
	}
	if s.missed != nil {
		run.reasons = make(chan string, 1)
	}
	run.starting, run.giveUp = context.WithCancelCause(ctx)
	run.patience, run.hurry = context.WithCancelCause(context.Background())
	run.dispatch, run.turns = s.dispatcher(table, p)
	return run, nil
}

// Stop withdraws the server, goes on accepting for a moment so that others learn of it, then refuses what comes and finishes what
// it accepted; a held server runs it then. When ctx ends first, it ends the contexts of what still runs and returns an error.
//
// A server that does not run is left as it is. A start in progress is waited for, and given up
// when ctx ends. A further call of Stop waits with the first. The first ctx to end forces the stop
// for all callers.
//
// A method may stop the server that runs it: with the method's ctx, or one that derives from it, Stop returns at once, and the
// server stops when everything it accepted has ended, that method included, however long ctx
// lasts; [WithStopTimeout] bounds it.
func (s *Server) Stop(ctx context.Context) error {
	run := s.current()
	if run == nil {
		return nil
	}
	select {
	case <-run.started:
	case <-ctx.Done():
		run.giveUp(errStoppedEarly())
		<-run.started
	}
	if run.isFailed() {
		return nil
	}
	if run.dispatch.Runs(ctx) {
		s.endBounded(ctx, run)
		return nil
	}
	s.endRun(ctx, run)
	select {
	case <-run.phase.Stopped():
	case <-ctx.Done():
		run.hurry(context.Cause(ctx))
		<-run.phase.Stopped()
	}
	return run.err
}

func errStoppedEarly() error {
	return &Error{Kind: Canceled, NotStarted: true, Message: "the server was stopped while it started"}
}

// giveUpStart ends a start in progress.
func (s *Server) giveUpStart(cause error) {
	if run := s.current(); run != nil {
		run.giveUp(cause)
	}
}

// runs reports whether ctx belongs to a method that the server runs.
func (s *Server) runs(ctx context.Context) bool {
	run := s.current()
	return run != nil && run.dispatch.Runs(ctx)
}

func (s *Server) current() *serverRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// endRun begins the stop, unless it has begun. Ctx bounds only the registry, since the stop is not
// one caller's.
func (s *Server) endRun(ctx context.Context, run *serverRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if run.ending {
		return
	}
	run.ending = true
	run.phase.Leave()
	within := withdrawWithin(ctx)
	go func() {
		defer run.hurry(nil)
		run.err = s.shutdown(run.patience, within, run)
		s.forget(run)
	}()
}

// endBounded begins a stop that no caller's ctx bounds.
func (s *Server) endBounded(ctx context.Context, run *serverRun) {
	s.endRun(context.WithoutCancel(ctx), run)
	if d := s.transport.config.stopTimeout; d > 0 {
		run.bounded.Do(func() { go run.bound(d) })
	}
}

// forcedWithin is how long methods may take to end when their contexts have.
const forcedWithin = 2 * time.Second

// bound ends a stop by force after some time.
func (r *serverRun) bound(d time.Duration) {
	if r.stopsWithin(d) {
		return
	}
	r.dispatch.Force(context.DeadlineExceeded)
	if !r.stopsWithin(forcedWithin) {
		r.hurry(context.DeadlineExceeded)
	}
}

func (r *serverRun) stopsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.phase.Stopped():
		return true
	case <-timer.C:
		return false
	}
}

func (s *Server) shutdown(ctx context.Context, within time.Duration, run *serverRun) error {
	t := s.transport
	t.withdrawServers(ctx, within, s)
	sleep(ctx, t.config.stopGrace)
	err := run.dispatch.Stop(ctx)
	if err != nil {
		t.config.log.Warn("server stopped by force", "server", s.target.Server, "topic", s.target.Topic, "error", err)
	}
	t.removeServer(ctx, s)
	return err
}

// Wait returns when the server has stopped; at once if it does not run. A method that waits for its own server keeps it from
// stopping.
func (s *Server) Wait() {
	if run := s.current(); run != nil {
		<-run.phase.Stopped()
	}
}

// Run starts the server, and stops it when ctx ends or Stop is called. It finishes what the server
// accepted. [WithStopTimeout] bounds that after ctx has ended: by default, after 25 seconds the
// contexts of the methods that still run end, and two seconds later Run returns in any case; it
// returns an error then. [Stopping] tells methods beforehand. If the server runs already, Run
// joins in waiting for its end.
//
// With [ExecutorBlocking], a method that ends its goroutine (runtime.Goexit) ends the goroutine of
// Run, too. The server then stops; what it accepted runs on another goroutine.
func (s *Server) Run(ctx context.Context) error {
	run, isNew, err := s.start(ctx, true)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.endBounded(ctx, run) })()
	if isNew && run.turns != nil {
		s.lend(ctx, run)
	}
	<-run.phase.Stopped()
	return run.err
}

// lend runs methods on this goroutine until the server has stopped. A method that ends the
// goroutine ends Run, and with it the server.
func (s *Server) lend(ctx context.Context, run *serverRun) {
	defer s.endBounded(ctx, run)
	run.turns.work(run.phase.Stopped())
}

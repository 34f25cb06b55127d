package host

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// Start makes the server ready for messages and announces it. It returns when discovery has the
// server. Ctx bounds only the start. If the server is starting or runs already, Start waits for
// that start.
func (s *Server) Start(ctx context.Context) error {
	_, _, err := s.start(ctx, false)
	return err
}

// start starts the server, or joins a run in progress. IsNew is true if this call began the run.
// Lends is as for check.
func (s *Server) start(ctx context.Context, lends bool) (r *run, isNew bool, err error) {
	r, isNew, err = s.bringUp(ctx, lends)
	if err == nil && isNew && r.config.Started != nil {
		r.config.Started(r.instance())
	}
	return r, isNew, err
}

// bringUp is start, but does not call Started.
func (s *Server) bringUp(ctx context.Context, lends bool) (r *run, isNew bool, err error) {
	for {
		r, isNew, err = s.begin(ctx, lends)
		switch {
		case err != nil:
			return nil, false, err
		case isNew:
			return r, true, s.launch(r) //nolint:contextcheck // The run has the context.
		}
		if runs, err := s.join(ctx, r); runs || err != nil {
			return r, false, err
		}
	}
}

// begin returns the run in progress, or a new one, which the caller must launch.
func (s *Server) begin(ctx context.Context, lends bool) (r *run, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return s.run, false, nil
	}
	what, err := s.served() //nolint:contextcheck // Each message comes with its own.
	if err == nil {
		err = s.config.check(lends)
	}
	if err == nil {
		err = s.host.enlist(s)
	}
	if err != nil {
		return nil, false, err
	}
	s.run = newRun(ctx, s, what)
	return s.run, true, nil
}

// launch executes the start of a new run: the server becomes reachable and is announced. A held
// server must also be seen in discovery.
func (s *Server) launch(r *run) error {
	defer r.giveUp(nil)
	r.startErr = s.host.bringUp(r.starting, r)
	if r.isFailed() {
		r.discard()
		s.forget(r)
		close(r.started)
		return r.startErr
	}
	if r.config.Missed != nil {
		s.host.listeners.add(r, r.config.Missed)
	}
	close(r.started)
	if !r.config.Hold {
		return nil
	}
	if err := s.host.awaitSeen(r.starting, r); err != nil {
		s.endRun(context.WithoutCancel(r.starting), r)
		if r.loop != nil { // clients may have sent messages, and only this goroutine can run them
			r.loop.work(r.phase.Stopped())
		}
		return err
	}
	return nil
}

// join waits until the start of a run in progress is over, and returns true if the server then
// runs. Otherwise join waits for the end of the run, and returns false: the server can be started
// again.
func (s *Server) join(ctx context.Context, r *run) (runs bool, err error) {
	select {
	case <-r.started:
	case <-ctx.Done():
		return false, tooLate(ctx, "the server still starts, for another caller")
	}
	if !r.isFailed() && !r.isEnding() {
		return true, nil
	}
	if r.dispatch.Runs(ctx) {
		return false, failure.Invalid("server %q stops, and waits for this method to end: it can be started after that", s.config.Target.Server)
	}
	select {
	case <-r.phase.Stopped():
		return false, nil
	case <-ctx.Done():
		return false, tooLate(ctx, "the server still stops, and can be started only after that")
	}
}

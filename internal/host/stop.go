package host

import (
	"context"
)

// Stop withdraws the server, and refuses messages after the grace. It returns when the server has finished
// what it accepted. When ctx ends first, it ends the contexts of what still runs and returns an error.
// A start in progress is waited for, and given up when ctx ends. With the ctx of a method that the
// server runs it returns at once.
func (s *Server) Stop(ctx context.Context) error {
	r := s.current()
	if r == nil {
		return nil
	}
	select {
	case <-r.started:
	case <-ctx.Done():
		r.giveUp(errStoppedEarly())
		<-r.started
	}
	if r.isFailed() {
		return nil
	}
	if r.dispatch.Runs(ctx) {
		s.endBounded(ctx, r)
		return nil
	}
	s.endRun(ctx, r)
	select {
	case <-r.phase.Stopped():
	case <-ctx.Done():
		r.forceStop(context.Cause(ctx))
		<-r.phase.Stopped()
	}
	return r.err
}

// Wait returns when the server has stopped; at once if it does not run.
func (s *Server) Wait() {
	if r := s.current(); r != nil {
		<-r.phase.Stopped()
	}
}

// giveUpStart ends a start in progress.
func (s *Server) giveUpStart(cause error) {
	if r := s.current(); r != nil {
		r.giveUp(cause)
	}
}

// endRun begins the stop, unless it has begun. Ctx bounds only the registry, since the stop is not one
// caller's.
func (s *Server) endRun(ctx context.Context, r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ending {
		return
	}
	r.ending = true
	r.phase.Leave()
	within := withdrawWithin(ctx)
	go func() {
		defer r.forceStop(nil)
		h := s.host
		h.withdraw(r.stopCtx, within, s)
		sleep(r.stopCtx, h.config.StopGrace)
		r.err = r.dispatch.Stop(r.stopCtx)
		if r.err != nil {
			h.config.Log.Warn("server stopped by force", "server", s.target.Server, "topic", s.target.Topic, "error", r.err)
		}
		h.remove(r.stopCtx, s)
		s.forget(r)
	}()
}

// endBounded begins a stop that no caller's ctx bounds.
func (s *Server) endBounded(ctx context.Context, r *run) {
	s.endRun(context.WithoutCancel(ctx), r)
	if d := s.host.config.StopTimeout; d > 0 {
		r.bounded.Do(func() { go r.bound(d) })
	}
}

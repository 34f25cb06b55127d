package host

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Stop withdraws the server from discovery, and refuses messages after StopGrace. It returns when
// the server has finished the messages that it accepted. If ctx ends first, Stop cancels the
// contexts of the methods that still run and returns an error. Stop waits for a start in progress,
// and aborts it when ctx ends. If ctx belongs to a method that the server runs, Stop returns at
// once, because the stop waits for that method.
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

// Wait returns when the server has stopped. It returns at once if the server does not run.
func (s *Server) Wait() {
	if r := s.current(); r != nil {
		<-r.phase.Stopped()
	}
}

// giveUpStart aborts a start in progress.
func (s *Server) giveUpStart(cause error) {
	if r := s.current(); r != nil {
		r.giveUp(cause)
	}
}

// endRun begins the stop, unless it has begun. Ctx bounds only how long the stop waits for the
// registry, since the stop may have several callers.
func (s *Server) endRun(ctx context.Context, r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ending {
		return
	}
	r.ending = true
	r.phase.Leave()
	if g := s.host.config.Gateway; g != nil {
		g.Leave()
	}
	within := withdrawWithin(ctx)
	go func() {
		defer r.forceStop(nil)
		h := s.host
		h.withdraw(r.stopCtx, within, s)
		sleep(r.stopCtx, h.config.StopGrace)
		r.err = r.dispatch.Stop(r.stopCtx)
		if r.err != nil {
			h.config.Log.Warn("server stopped by force", "server", s.config.Target.Server, "topic", s.config.Target.Topic, "error", r.err)
		}
		if g := h.config.Gateway; g != nil {
			r.err = errors.Join(r.err, g.Stop(r.stopCtx))
		}
		h.remove(r.stopCtx, r)
		s.forget(r)
	}()
}

// endBounded begins a stop that StopTimeout bounds, instead of a caller's ctx.
func (s *Server) endBounded(ctx context.Context, r *run) {
	s.endRun(context.WithoutCancel(ctx), r)
	if d := s.host.config.StopTimeout; d > 0 {
		r.bounded.Do(func() { go r.bound(d) })
	}
}

// withdrawTimeout bounds how long a stopping server waits for the registry. Registries remove a
// server that they no longer hear from by themselves.
const withdrawTimeout = 3 * time.Second

// withdrawWithin returns how long a stop that is bounded by ctx waits for the registry: at most
// half of the time until the deadline, so that the other half is left to finish messages.
func withdrawWithin(ctx context.Context) time.Duration {
	end, bounded := ctx.Deadline()
	if !bounded {
		return withdrawTimeout
	}
	return min(withdrawTimeout, time.Until(end)/2)
}

// withdraw removes servers from discovery, if they are still announced. After the time within, it
// goes on in the background.
func (h *Host) withdraw(ctx context.Context, within time.Duration, servers ...*Server) {
	change := h.leave(servers)
	if change == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := h.announcer.tell(ctx, change); err != nil {
		h.config.Log.Warn("registration was not withdrawn in time; senders learn from the server that it stops", "servers", len(servers), "error", err)
		h.announcer.settle() //nolint:contextcheck // It goes on when the stop is over.
	}
}

// leave sets the phase of servers that begin to stop, and returns the number of the change for the
// announcer, or 0 if none of them is announced any more.
func (h *Host) leave(servers []*Server) (change uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.site == nil {
		return 0
	}
	news := false
	for _, r := range h.site.runs {
		if slices.Contains(servers, r.server) {
			r.phase.Leave()
			news = news || r.noted.IsAnnounced()
			r.noted = r.phase.Phase()
		}
	}
	h.site.refresh()
	if !news {
		return 0
	}
	return h.announcer.changed()
}

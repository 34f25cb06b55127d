package host

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// Release ends a hold: waiting messages begin to run, and discovery lists the server as active.
func (s *Server) Release(ctx context.Context) error {
	return s.host.change(ctx, s, func(r *run) { r.dispatch.Release() })
}

// Drain makes the server refuse messages that do not name it, and publishes that in discovery.
func (s *Server) Drain(ctx context.Context) error {
	return s.host.change(ctx, s, func(r *run) { r.phase.Drain() })
}

// Resume undoes Drain.
func (s *Server) Resume(ctx context.Context) error {
	return s.host.change(ctx, s, func(r *run) { r.phase.Resume() })
}

// change changes the phase of a server, and updates discovery if necessary.
func (h *Host) change(ctx context.Context, s *Server, change func(*run)) error {
	number, runs := h.note(s, change)
	switch {
	case !runs:
		return failure.Invalid("server %q on topic %q does not run: start it first", s.config.Target.Server, s.config.Target.Topic)
	case number == 0:
		return nil
	default:
		return h.announcer.tell(ctx, number)
	}
}

// note changes the phase of a server, and returns the number of the change, or 0 if discovery needs
// no update. Runs is false if the server does not run.
func (h *Host) note(s *Server, change func(*run)) (number uint64, runs bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.running(s)
	if r == nil {
		return 0, false
	}
	change(r)
	h.site.health.follow(h.site.runs)
	now := r.phase.Phase()
	if now.IsEnding() || now == r.noted && h.announcer.hasTold(r.change) {
		return 0, true
	}
	r.noted, r.change = now, h.announcer.changed()
	return r.change, true
}

package oslorpc

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/route"
)

// Release ends the hold of a server that was made with [WithHold]: it runs what waits, in the order of arrival, and everything
// that comes, and others take it for active. If it is not held, Release does nothing.
//
// An error of kind [Invalid] means that the server does not run. Any other means that it was released, and that others
// could not be told so; to try that again, call Release again. Ctx bounds the telling.
func (s *Server) Release(ctx context.Context) error {
	return s.transport.changeServer(ctx, s, func(m *hosted) {
		m.server.Dispatch.Release()
	})
}

// Drain keeps messages for any server, and fanouts, away from the server; it is still reached by name. It goes on with what it
// accepted. Drain lasts until [Server.Resume] or the end of the next Stop, and returns when discovery was told; clients learn of it
// within moments, and until then send as before. Its errors are those of [Server.Release].
func (s *Server) Drain(ctx context.Context) error {
	return s.transport.changeServer(ctx, s, func(m *hosted) { m.phase.Drain() })
}

// Resume ends [Server.Drain]. Its errors are those of [Server.Release].
func (s *Server) Resume(ctx context.Context) error {
	return s.transport.changeServer(ctx, s, func(m *hosted) { m.phase.Resume() })
}

// awaitSeen returns when the server is in its own view of discovery, so that clients can be expected to see it too, and where each
// process looks at times of its own, when all should have looked. Where its own view shows other servers than those announced beside it, there
// is nothing to wait for.
func (s *Server) awaitSeen(ctx context.Context, run *serverRun) error {
	if r, ok := s.transport.registry.(discovery.Elsewhere); ok && r.Elsewhere() {
		return nil
	}
	topic := s.transport.clients.Topic(discovery.Topic{Exchange: run.instance.Exchange, Name: run.instance.Topic})
	announced := time.Now()
	for {
		view, changed, err := topic.View(ctx)
		if err != nil {
			return err
		}
		var all <-chan time.Time
		if lists(view, run.instance.ID) {
			lag := time.Until(announced.Add(s.transport.lag(len(view.Entries()))))
			if lag <= 0 {
				return nil
			}
			all = time.After(lag)
		}
		select {
		case <-changed:
		case <-all:
		case <-run.phase.Serving().Done():
			return errStoppedEarly()
		case <-ctx.Done():
			return tooLate(ctx, "the server had not yet seen itself in discovery, and stops again")
		}
	}
}

// lag returns how long it takes at most until all others know what was announced on a topic with so many instances; 0 if they are told
// at once.
func (t *Transport) lag(instances int) time.Duration {
	if r, ok := t.registry.(discovery.Polled); ok {
		return r.Lag(instances)
	}
	return 0
}

func lists(view *route.View, id string) bool {
	for _, e := range view.Entries() {
		if e.ID == id {
			return true
		}
	}
	return false
}

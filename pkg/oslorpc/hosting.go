package oslorpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/phase"
)

// enlist notes that a server begins to start, so that a Shutdown stops it. It fails if the
// transport is closed.
func (t *Transport) enlist(s *Server) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return errClosed()
	}
	t.servers[s] = true
	return nil
}

// delist notes that a server has stopped, or failed to start.
func (t *Transport) delist(s *Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.servers, s)
}

// addServer brings a server up on the transport's host, which the first one opens, and announces
// it. It completes the instance.
func (t *Transport) addServer(ctx context.Context, s *Server, run *serverRun) error {
	services, err := s.typedServices() //nolint:contextcheck // It makes no RPC.
	if err != nil {
		return err
	}
	hosted := &intake.Server{Instance: run.instance, Dispatch: run.dispatch, Missed: run.undelivered, Services: services}
	change, err := t.join(ctx, s, hosted, run.phase)
	if err != nil {
		return err
	}
	run.instance = hosted.Instance
	if r, ok := t.registry.(discovery.Checker); ok {
		err = r.Check(run.instance)
	}
	if err == nil {
		err = t.announce(ctx, change)
	}
	if err != nil {
		t.removeServer(ctx, s)
		t.settle() //nolint:contextcheck // It goes on when the caller's has ended.
		return unannounced(run.instance, err)
	}
	return nil
}

// join adds a server to the host, completes its instance, and returns the number of this change.
// If a host is being opened, it waits for that.
func (t *Transport) join(ctx context.Context, owner *Server, s *intake.Server, p *phase.Machine) (change uint64, err error) {
	for {
		t.mu.Lock()
		opening := t.opening
		switch {
		case t.closed.Load():
			err = errClosed()
		case t.host != nil:
			change = t.add(owner, s, p)
		case opening == nil:
			t.opening = make(chan struct{})
		}
		t.mu.Unlock()
		if err != nil || change != 0 {
			return change, err
		}
		if opening == nil {
			return t.openHost(ctx, owner, s, p)
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return 0, tooLate(ctx, "another server of the transport still opened the address to listen on")
		}
	}
}

// openHost opens a host for its first server. The host serves only then: without this server it
// would refuse messages for it.
func (t *Transport) openHost(ctx context.Context, owner *Server, s *intake.Server, p *phase.Machine) (change uint64, err error) {
	h, err := newHost(ctx, &t.config)
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.opening)
	t.opening = nil
	if err == nil && t.closed.Load() {
		h.stopListening()
		h.grpc.Stop()
		err = errClosed()
	}
	if err != nil {
		return 0, err
	}
	t.host = h
	change = t.add(owner, s, p)
	h.serve(t.config.log)
	return change, nil
}

// add adds a server to the host. The lock is held.
func (t *Transport) add(owner *Server, s *intake.Server, p *phase.Machine) (change uint64) {
	t.news.made++
	t.host.add(owner, s, p, t.news.made)
	return t.news.made
}

// unannounced says of an error of the registry which server is not announced for it.
func unannounced(i discovery.Instance, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	said := *e
	said.Message = fmt.Sprintf("server %q on topic %q cannot be announced: %s", i.Server, i.Topic, e.Message)
	return &said
}

// changeServer changes what a server takes, and tells the others unless they know.
func (t *Transport) changeServer(ctx context.Context, s *Server, change func(*hosted)) error {
	number, ok := t.note(s, change)
	switch {
	case !ok:
		return errNotRunning(s)
	case number == 0:
		return nil
	default:
		return t.announce(ctx, number)
	}
}

// note changes what a server takes, and returns the number of the change, or 0 if others need not
// be told. Ok is false if the server does not run.
func (t *Transport) note(s *Server, change func(*hosted)) (number uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == nil {
		return 0, false
	}
	m := t.host.change(s, change)
	if m == nil {
		return 0, false
	}
	now := m.phase.Phase()
	if now.IsEnding() || now == m.noted && m.change <= t.news.told {
		return 0, true
	}
	t.news.made++
	m.noted, m.change = now, t.news.made
	return m.change, true
}

func errNotRunning(s *Server) error {
	return invalidUse("server %q on topic %q does not run: start it first", s.target.Server, s.target.Topic)
}

// withdrawTimeout bounds how long a server that stops waits for the registry: one that is away forgets the server by itself.
const withdrawTimeout = 3 * time.Second

// withdrawWithin returns how long a stop that is bounded by ctx waits for the registry: at most
// half of its time, so that the server can refuse and finish in the other half.
func withdrawWithin(ctx context.Context) time.Duration {
	end, bounded := ctx.Deadline()
	if !bounded {
		return withdrawTimeout
	}
	return min(withdrawTimeout, time.Until(end)/2)
}

// withdrawServers ends the announcement of the servers that are still announced. What cannot be
// withdrawn in time is withdrawn in the background.
func (t *Transport) withdrawServers(ctx context.Context, within time.Duration, servers ...*Server) {
	t.mu.Lock()
	change := uint64(0)
	if t.host != nil && t.host.leave(servers) {
		t.news.made++
		change = t.news.made
	}
	t.mu.Unlock()
	if change == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := t.announce(ctx, change); err != nil {
		t.config.log.Warn("registration was not withdrawn in time; senders learn from the server that it stops", "servers", len(servers), "error", err)
		t.settle() //nolint:contextcheck // It goes on when the stop is over.
	}
}

// removeServer takes a server down, and the host with the last one. Then clients get some time to
// take the last answers, but not longer than ctx lasts. Another host can be opened meanwhile, at
// the same address too.
func (t *Transport) removeServer(ctx context.Context, s *Server) {
	t.mu.Lock()
	h := t.host
	h.remove(s)
	last := len(h.members) == 0
	if last {
		t.host = nil
		h.stopListening()
	}
	t.mu.Unlock()
	if last {
		h.close(ctx)
	}
}

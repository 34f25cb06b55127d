// Package host is a serving process: it listens, serves the contract and typed services over gRPC with
// health and reflection, announces its servers, and leads each of them through its phases.
//
// A [Host] has any number of servers. They share one [site], the listener with its gRPC server, from the
// start of the first server to the stop of the last. A [Server] can be started again; each time it has
// a new run, with a configuration that does not change.
package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Host has the servers of a process. It is safe for concurrent use.
type Host struct {
	config    Config
	listeners listeners

	// life ends with the host, and ends what it does in the background.
	life context.Context //nolint:containedctx // It is the host's own.
	end  context.CancelFunc

	// mu guards what follows. Lock it after the lock of a server and before all other locks. It is not
	// held during a wait.
	mu      sync.Mutex
	closed  bool
	servers map[*Server]bool // from the begin of a start to the end of a stop
	site    *site            // nil while no server runs
	opening chan struct{}    // closed when a site is open, or failed to; nil while none is being opened
	news    news
}

// New returns a host without servers.
func New(c Config) *Host {
	h := &Host{config: c, servers: map[*Server]bool{}, news: news{turn: make(chan struct{}, 1)}}
	h.news.turn <- struct{}{}
	h.life, h.end = context.WithCancel(context.Background())
	if r, ok := c.Registry.(discovery.Lapser); ok {
		r.Lapses(h.listeners.tell)
	}
	return h
}

// Close lets no server start any more.
func (h *Host) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// Runs reports whether ctx belongs to a method of one of the servers.
func (h *Host) Runs(ctx context.Context) bool {
	return slices.ContainsFunc(h.all(), func(s *Server) bool { return s.runs(ctx) })
}

// Stop stops all servers together, as [Server.Stop] does each. Starts in progress fail. Close the host
// first.
func (h *Host) Stop(ctx context.Context) error {
	servers := h.all()
	for _, s := range servers {
		s.giveUpStart(errClosed())
	}
	// Together: one by one, the last would accept until the first have withdrawn.
	h.withdraw(ctx, withdrawWithin(ctx), servers...)
	failures := make([]error, len(servers))
	var stopping sync.WaitGroup
	for i, s := range servers {
		stopping.Go(func() { failures[i] = s.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(failures...)
}

// StopContext returns the context of a stop that no caller bounds.
func (h *Host) StopContext() (context.Context, context.CancelFunc) {
	if h.config.StopTimeout <= 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), h.config.StopTimeout)
}

// End ends what the host does in the background. The servers have stopped.
func (h *Host) End() {
	h.mu.Lock()
	h.end()
	h.mu.Unlock()
	h.news.background.Wait()
}

// all returns the servers that start, run or stop.
func (h *Host) all() []*Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.servers))
}

// enlist notes that a server begins to start, so that Stop stops it. It fails if the host is closed.
func (h *Host) enlist(s *Server) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed()
	}
	h.servers[s] = true
	return nil
}

// delist notes that a server has stopped, or failed to start.
func (h *Host) delist(s *Server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.servers, s)
}

// bringUp makes a server reachable at the host's site, which the first server opens, and announces it. It
// completes the instance.
func (h *Host) bringUp(ctx context.Context, s *Server, r *run) error {
	server := &intake.Server{Instance: r.instance, Dispatch: r.dispatch, Missed: r.undelivered, Services: r.config.Services}
	change, err := h.join(ctx, s, server, r)
	if err != nil {
		return err
	}
	r.instance = server.Instance
	if registry, ok := h.config.Registry.(discovery.Checker); ok {
		err = registry.Check(r.instance)
	}
	if err == nil {
		err = h.announce(ctx, change)
	}
	if err != nil {
		h.remove(ctx, s)
		h.settle() //nolint:contextcheck // It goes on when the caller's has ended.
		return unannounced(r.instance, err)
	}
	return nil
}

// join adds a server to the site, completes its instance, and returns the number of this change. If a
// site is being opened, it waits for that.
func (h *Host) join(ctx context.Context, owner *Server, s *intake.Server, r *run) (change uint64, err error) {
	for {
		h.mu.Lock()
		opening := h.opening
		switch {
		case h.closed:
			err = errClosed()
		case h.site != nil:
			change = h.add(owner, s, r)
		case opening == nil:
			h.opening = make(chan struct{})
		}
		h.mu.Unlock()
		if err != nil || change != 0 {
			return change, err
		}
		if opening == nil {
			return h.openSite(ctx, owner, s, r)
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return 0, tooLate(ctx, "another server of the transport still opened the address to listen on")
		}
	}
}

// openSite opens a site for its first server. The site serves only then: without this server it would
// refuse messages for it.
func (h *Host) openSite(ctx context.Context, owner *Server, s *intake.Server, r *run) (change uint64, err error) {
	opened, err := newSite(ctx, &h.config)
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.opening)
	h.opening = nil
	if err == nil && h.closed {
		opened.stopListening()
		opened.grpc.Stop()
		err = errClosed()
	}
	if err != nil {
		return 0, err
	}
	h.site = opened
	change = h.add(owner, s, r)
	opened.serve(h.config.Log)
	return change, nil
}

// add adds a server to the site. The lock is held.
func (h *Host) add(owner *Server, s *intake.Server, r *run) (change uint64) {
	h.news.made++
	h.site.add(owner, s, r.phase, r.config.Hold, h.news.made)
	return h.news.made
}

// unannounced says of an error of the registry which server is not announced for it.
func unannounced(i discovery.Instance, err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	said := *e
	said.Message = fmt.Sprintf("server %q on topic %q cannot be announced: %s", i.Server, i.Topic, e.Message)
	return &said
}

// change changes the phase of a server, and tells the others unless they know.
func (h *Host) change(ctx context.Context, s *Server, change func(*member)) error {
	number, ok := h.note(s, change)
	switch {
	case !ok:
		return invalid("server %q on topic %q does not run: start it first", s.target.Server, s.target.Topic)
	case number == 0:
		return nil
	default:
		return h.announce(ctx, number)
	}
}

// note changes the phase of a server, and returns the number of the change, or 0 if others need not be
// told. Ok is false if the server does not run.
func (h *Host) note(s *Server, change func(*member)) (number uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.member(s)
	if m == nil {
		return 0, false
	}
	change(m)
	now := m.phase.Phase()
	if now.IsEnding() || now == m.noted && m.change <= h.news.told {
		return 0, true
	}
	h.news.made++
	m.noted, m.change = now, h.news.made
	return m.change, true
}

// member returns a server that runs, nil if it does not. The lock is held.
func (h *Host) member(s *Server) *member {
	if h.site == nil {
		return nil
	}
	return h.site.member(s)
}

// instance returns a server as discovery lists it; false if it does not run.
func (h *Host) instance(s *Server) (rpc.Instance, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.member(s); m != nil {
		return m.instance(), true
	}
	return rpc.Instance{}, false
}

// withdrawTimeout bounds how long a server that stops waits for the registry. A registry that is away
// forgets the server by itself.
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

// withdraw ends the announcement of the servers that are still announced. What cannot be
// withdrawn in time is withdrawn in the background.
func (h *Host) withdraw(ctx context.Context, within time.Duration, servers ...*Server) {
	h.mu.Lock()
	change := uint64(0)
	if h.site != nil && h.site.leave(servers) {
		h.news.made++
		change = h.news.made
	}
	h.mu.Unlock()
	if change == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := h.announce(ctx, change); err != nil {
		h.config.Log.Warn("registration was not withdrawn in time; senders learn from the server that it stops", "servers", len(servers), "error", err)
		h.settle() //nolint:contextcheck // It goes on when the stop is over.
	}
}

// remove takes a server down, and the site with the last one. Then clients get some time to take the last
// answers, but not longer than ctx lasts. Another site can be opened meanwhile, at the same address too.
func (h *Host) remove(ctx context.Context, s *Server) {
	h.mu.Lock()
	old := h.site
	old.remove(s)
	last := len(old.members) == 0
	if last {
		h.site = nil
		old.stopListening()
	}
	h.mu.Unlock()
	if last {
		old.close(ctx)
	}
}

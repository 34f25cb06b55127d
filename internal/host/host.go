// Package host runs the servers of a process: it listens, serves the contract and typed services
// over gRPC with health and reflection, announces the servers in discovery, and moves each of them
// through its phases.
//
// A [Host] has any number of servers. They share one [site], the listener with its gRPC server,
// from the start of the first server to the stop of the last. A [Server] can be started again; each
// time it has a new run, with a configuration that does not change.
//
// Locks are taken in this order: the lock of a [Server], the lock of the host, and then the locks
// of dispatchers and the announcer.
package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Host has the servers of a process. It is safe for concurrent use.
type Host struct {
	config    Config
	announcer *announcer
	listeners listeners

	// mu guards the following fields. It is not held during a wait.
	mu      sync.Mutex
	closed  bool
	servers map[*Server]bool // those that are starting, running or stopping
	site    *site            // nil while no server runs
	opening chan struct{}    // closed when the site that is being opened is open, or failed to open; nil while none is
}

// New returns a host without servers.
func New(c Config) *Host {
	h := &Host{config: c, servers: map[*Server]bool{}}
	h.announcer = newAnnouncer(c.Registry, h.announced)
	if r, ok := c.Registry.(registry.Lapser); ok {
		r.Lapses(h.lapsed)
	}
	return h
}

// Close prevents further starts of servers.
func (h *Host) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// Runs reports whether ctx belongs to a method of one of the servers.
func (h *Host) Runs(ctx context.Context) bool {
	return slices.ContainsFunc(h.all(), func(s *Server) bool { return s.runs(ctx) })
}

// Stop stops all servers at the same time, each as [Server.Stop] does. Starts in progress fail.
// Close the host first.
func (h *Host) Stop(ctx context.Context) error {
	servers := h.all()
	for _, s := range servers {
		s.giveUpStart(errClosed())
	}
	// Withdraw all servers at once. One by one, the last server would accept messages until the
	// others have withdrawn.
	h.withdraw(ctx, withdrawWithin(ctx), servers...)
	failures := make([]error, len(servers))
	var stopping sync.WaitGroup
	for i, s := range servers {
		stopping.Go(func() { failures[i] = s.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(failures...)
}

// StopContext returns the context for a stop without a caller's context: it ends after StopTimeout,
// if there is one.
func (h *Host) StopContext() (context.Context, context.CancelFunc) {
	if h.config.StopTimeout <= 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), h.config.StopTimeout)
}

// End ends the host's work in the background. Call it after all servers have stopped.
func (h *Host) End() { h.announcer.close() }

// all returns the servers that are starting, running or stopping.
func (h *Host) all() []*Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.servers))
}

// enlist records that a server begins to start, so that Stop stops it. It returns an error if the
// host is closed.
func (h *Host) enlist(s *Server) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed()
	}
	h.servers[s] = true
	return nil
}

// delist records that a server has stopped, or failed to start.
func (h *Host) delist(s *Server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.servers, s)
}

// announced returns the instances to publish in discovery.
func (h *Host) announced() []rpc.Instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.site == nil {
		return nil
	}
	list := h.site.announced()
	if h.config.Gateway != nil {
		list = append(list, h.config.Gateway.Beside(h.site.bootID, h.site.addr)...)
	}
	return list
}

// Announce updates discovery after the result of Gateway.Beside has changed. It returns when that
// is done.
func (h *Host) Announce(ctx context.Context) error {
	return h.announcer.tell(ctx, h.announcer.changed())
}

// Settle is Announce in the background. It retries until discovery is updated.
func (h *Host) Settle() { h.announcer.settle() }

// instance returns a server as discovery lists it. It returns false if the server does not run.
func (h *Host) instance(s *Server) (rpc.Instance, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.running(s); r != nil {
		return r.instance(), true
	}
	return rpc.Instance{}, false
}

// running returns the run of a server that is part of the site, or nil. The lock is held.
func (h *Host) running(s *Server) *run {
	if h.site == nil {
		return nil
	}
	return h.site.find(s)
}

func errClosed() error { return failure.Invalid("the transport is closed") }

package oslorpctest

import (
	"context"
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Server is a server of a [Fleet], in a process of its own.
//
// Its methods do nothing when there is nothing to do: to stop a server that does not run, or to
// heal one that is reachable. When one returns that has a server come or go, all the fleet's
// transports were told: messages go to who is there then. One by the name of a server that has just
// gone is not delivered, see [oslorpc.IsNotDelivered]; for a moment, its kind may be
// [oslorpc.Unreachable] rather than [oslorpc.NoInstance]. It is not safe for concurrent use.
type Server struct {
	fleet     *Fleet
	target    oslorpc.Target
	endpoints []oslorpc.Endpoint
	options   []oslorpc.ServerOption

	process *process        // nil while it does not run
	server  *oslorpc.Server // of the process
}

// Serve starts a server with these endpoints.
func (f *Fleet) Serve(target oslorpc.Target, endpoints []oslorpc.Endpoint, options ...oslorpc.ServerOption) *Server {
	f.t.Helper()
	s := &Server{fleet: f, target: target, endpoints: endpoints, options: options}
	s.Start()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers = append(f.servers, s)
	return s
}

// Server returns the first server that was started with this name, whether it runs or not. If there
// is none, the test fails.
func (f *Fleet) Server(name string) *Server {
	f.t.Helper()
	f.mu.Lock()
	i := slices.IndexFunc(f.servers, func(s *Server) bool { return s.target.Server == name })
	servers := f.servers
	f.mu.Unlock()
	if i < 0 {
		f.t.Fatalf("oslorpctest: there is no server %q", name)
		return nil
	}
	return servers[i]
}

// Start starts the server again after [Server.Stop] or [Server.Kill]: as a new process, at another
// address, which is reachable, as fast as it was, and held only if it has [oslorpc.WithHold].
func (s *Server) Start() {
	s.fleet.t.Helper()
	if s.process != nil {
		return
	}
	p := s.fleet.open(nil)
	server := p.transport.Server(s.target, s.options...)
	server.Add(s.endpoints...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		s.fleet.t.Fatalf("oslorpctest: start server %q: %v", s.target.Server, err)
		return
	}
	s.process, s.server = p, server
	if i, ok := server.Instance(); ok {
		s.fleet.settle(i, true)
	}
}

// Stop stops the server as [oslorpc.Server.Stop] does: it finishes what it accepted, for at most
// ten seconds. One that is held runs what waits.
func (s *Server) Stop() {
	s.fleet.t.Helper()
	s.end(func(p *process) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.transport.Shutdown(ctx) // its error is that it was stopped by force
		p.kill()
	})
}

// Kill kills the server's process. Its connections end at once, so that the calls that were
// outstanding at it fail, and then it is no longer listed. What it accepted and did not run is
// lost. A method that runs cannot be killed: its context ends, and no caller hears what becomes of
// it.
func (s *Server) Kill() {
	s.fleet.t.Helper()
	s.end((*process).kill)
}

func (s *Server) end(by func(*process)) {
	s.fleet.t.Helper()
	if s.process == nil {
		return
	}
	i, listed := s.server.Instance()
	by(s.process)
	s.process, s.server = nil, nil
	if listed {
		s.fleet.settle(i, false)
	}
}

// Hold has the server accept messages and run none, as if it were stuck, until [Server.Release];
// what runs already goes on. Unlike one that starts with [oslorpc.WithHold], it is listed as
// active. While it is held, a message that was accepted is outstanding for certain, see
// [Fleet.Await].
func (s *Server) Hold() {
	if s.process != nil {
		_, m, _ := s.process.now()
		m.Stall()
	}
}

// Release ends [Server.Hold], or the hold of a server that started with [oslorpc.WithHold].
func (s *Server) Release() {
	s.fleet.t.Helper()
	if s.process == nil {
		return
	}
	if err := s.server.Release(context.Background()); err != nil {
		s.fleet.t.Fatalf("oslorpctest: release server %q: %v", s.target.Server, err)
	}
}

// Partition cuts the server off, until [Server.Heal]: no process can connect to it, and nothing
// passes through the connections that are there, which notice by their keepalives. It stays listed,
// and goes on running what it accepted.
func (s *Server) Partition() {
	if s.process != nil {
		h, _, _ := s.process.now()
		h.Partition()
	}
}

// Heal ends [Server.Partition]. What is still under way arrives.
func (s *Server) Heal() {
	if s.process != nil {
		h, _, _ := s.process.now()
		h.Heal()
	}
}

// SlowDown has each method of the server wait for d before it runs, as on a machine that is
// overloaded, or until its context ends. 0 ends that for the messages that come.
func (s *Server) SlowDown(d time.Duration) {
	if s.process != nil {
		s.process.mu.Lock()
		defer s.process.mu.Unlock()
		s.process.pause = d
	}
}

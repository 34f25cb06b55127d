package oslorpctest

import (
	"context"
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Server is a server of a [Fleet], in a process of its own. It is not safe for concurrent use.
//
// Methods without effect are allowed, for example Stop on a server that does not run, or Heal on a
// server that is reachable. When a method that starts or ends the server returns, all transports of
// the fleet know of the change, and send messages only to the servers that are now registered. A
// message by the name of a server that has just gone is not delivered; see
// [oslorpc.IsNotDelivered]. For a moment, its kind may be [oslorpc.Unreachable] instead of
// [oslorpc.NoInstance].
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

// Server returns the first server that was started with this name, whether it still runs or not. If
// there is none, the test fails.
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

// Start starts the server again after [Server.Stop] or [Server.Kill], as a new process at a new
// address. The process is reachable and keeps the delay of [Server.SlowDown]. It is held only if
// the server has [oslorpc.WithHold].
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

// Stop stops the server as [oslorpc.Server.Stop] does. The server finishes the messages that it
// accepted, for at most ten seconds. A held server runs its waiting messages.
func (s *Server) Stop() {
	s.fleet.t.Helper()
	s.end(func(p *process) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.transport.Shutdown(ctx) // its error is that it was stopped by force
		p.kill()
	})
}

// Kill kills the server's process. Its connections end at once, so outstanding calls to it fail.
// Then it is no longer listed. Messages that it accepted and did not run are lost. A running method
// cannot be killed: its context ends, and no caller learns its outcome.
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

// Hold makes the server accept messages but run none, as if it were stuck, until [Server.Release].
// Running methods continue. Unlike a server that starts with [oslorpc.WithHold], it is listed as
// active. Use it with [Fleet.Await] to test what happens while a message is outstanding.
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

// Partition cuts the server off, until [Server.Heal]. No process can connect to it, and nothing
// passes through its open connections, whose ends notice this by their keepalives. The server stays
// listed, and goes on running the messages that it accepted.
func (s *Server) Partition() {
	if s.process != nil {
		h, _, _ := s.process.now()
		h.Partition()
	}
}

// Heal ends [Server.Partition]. Data that was sent during the partition then arrives, if its
// connection is still open.
func (s *Server) Heal() {
	if s.process != nil {
		h, _, _ := s.process.now()
		h.Heal()
	}
}

// SlowDown delays each method of the server by d, or until the method's context ends, as on an
// overloaded machine. 0 ends the delay for later messages.
func (s *Server) SlowDown(d time.Duration) {
	if s.process != nil {
		s.process.mu.Lock()
		defer s.process.mu.Unlock()
		s.process.pause = d
	}
}

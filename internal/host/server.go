package host

import (
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/service"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Server is one server of a host. It can be started again after each stop. It is safe for
// concurrent use.
type Server struct {
	host   *Host
	config ServerConfig

	// mu comes before all other locks of the host. It is not held during a wait.
	mu        sync.Mutex
	endpoints []endpoint.Endpoint
	services  []service.Registration
	run       *run // nil unless the server is starting, running or stopping
}

// Server returns a server that does not run yet. Each start checks the configuration.
func (h *Host) Server(c ServerConfig) *Server {
	s := &Server{host: h, config: c}
	for _, register := range c.Register {
		register(s)
	}
	return s
}

// Instance returns the server as discovery lists it. It returns false if the server does not run.
func (s *Server) Instance() (rpc.Instance, bool) { return s.host.instance(s) }

// runs reports whether ctx belongs to a method that the server runs.
func (s *Server) runs(ctx context.Context) bool {
	r := s.current()
	return r != nil && r.dispatch.Runs(ctx)
}

func (s *Server) current() *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Run starts the server, and stops it when ctx ends. It returns when the server has stopped, for
// whatever reason. If the server runs already, Run does not start it, but does the rest.
func (s *Server) Run(ctx context.Context) error {
	r, isNew, err := s.start(ctx, true)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.endBounded(ctx, r) })()
	if isNew && r.loop != nil {
		s.lend(ctx, r)
	}
	<-r.phase.Stopped()
	return r.err
}

// lend runs methods on this goroutine until the server has stopped. A method that ends the
// goroutine (runtime.Goexit) ends Run, and so stops the server.
func (s *Server) lend(ctx context.Context, r *run) {
	defer s.endBounded(ctx, r)
	r.loop.work(r.phase.Stopped())
}

// forget removes a run that has stopped, or whose start failed, so that the server can be started
// again.
func (s *Server) forget(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
	s.host.delist(s)
	r.phase.End()
}

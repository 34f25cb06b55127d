package host

import (
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Server is one server of a host, which can be started again after each stop. It is safe for concurrent
// use.
type Server struct {
	host   *Host
	target rpc.Target
	// configure returns what the next start serves.
	configure func() (*ServerConfig, error)

	// mu comes before all other locks of the host, and is not held while anything is waited for.
	mu  sync.Mutex
	run *run // nil while it neither runs nor starts
}

// Server returns a server that does not run yet. Each start calls configure.
func (h *Host) Server(target rpc.Target, configure func() (*ServerConfig, error)) *Server {
	return &Server{host: h, target: target, configure: configure}
}

// Instance returns the server as discovery lists it; false if it does not run.
func (s *Server) Instance() (rpc.Instance, bool) { return s.host.instance(s) }

// Release ends a hold.
func (s *Server) Release(ctx context.Context) error {
	return s.host.change(ctx, s, func(m *member) { m.server.Dispatch.Release() })
}

// Drain has the server take only messages that name it.
func (s *Server) Drain(ctx context.Context) error {
	return s.host.change(ctx, s, func(m *member) { m.phase.Drain() })
}

// Resume ends Drain.
func (s *Server) Resume(ctx context.Context) error {
	return s.host.change(ctx, s, func(m *member) { m.phase.Resume() })
}

// Start makes the server ready for messages and announces it. Ctx bounds the start only.
func (s *Server) Start(ctx context.Context) error {
	_, _, err := s.start(ctx, false)
	return err
}

// start returns the run that the server has then, and whether it is a new one. Lends is true if the
// caller lends its goroutine to the executor.
func (s *Server) start(ctx context.Context, lends bool) (r *run, isNew bool, err error) {
	r, isNew, err = s.bringUp(ctx, lends)
	if err == nil && isNew && r.config.Started != nil {
		r.config.Started(r.instance)
	}
	return r, isNew, err
}

// bringUp is start, without telling the program.
func (s *Server) bringUp(ctx context.Context, lends bool) (r *run, isNew bool, err error) {
	for {
		r, isNew, err = s.begin(ctx, lends)
		switch {
		case err != nil:
			return nil, false, err
		case isNew:
			return r, true, s.launch(r) //nolint:contextcheck // The run has the context.
		}
		if runs, err := s.join(ctx, r); runs || err != nil {
			return r, false, err
		}
	}
}

// begin returns the run that the server has, or else a new one, which is to be launched.
func (s *Server) begin(ctx context.Context, lends bool) (r *run, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return s.run, false, nil
	}
	config, err := s.configure()
	if err == nil {
		err = config.check(lends)
	}
	if err == nil {
		err = s.host.enlist(s)
	}
	if err != nil {
		return nil, false, err
	}
	s.run = s.host.newRun(ctx, config)
	return s.run, true, nil
}

// launch brings the server up.
func (s *Server) launch(r *run) error {
	defer r.giveUp(nil)
	r.startErr = s.host.bringUp(r.starting, s, r)
	if r.isFailed() {
		r.discard()
		s.forget(r)
		close(r.started)
		return r.startErr
	}
	if r.config.Missed != nil {
		s.host.listeners.add(r, r.config.Missed)
	}
	close(r.started)
	if !r.config.Hold {
		return nil
	}
	if err := s.host.awaitSeen(r.starting, r); err != nil {
		s.endRun(context.WithoutCancel(r.starting), r)
		if r.loop != nil { // others may have seen it, and no other goroutine runs what they sent
			r.loop.work(r.phase.Stopped())
		}
		return err
	}
	return nil
}

// forget ends a run that has stopped, or failed to start: the server can be started again.
func (s *Server) forget(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
	s.host.delist(s)
	r.phase.End()
}

// join waits for the start of a run, and reports whether the server runs then. If not, it has stopped, or
// the start failed, and it can be started again.
func (s *Server) join(ctx context.Context, r *run) (runs bool, err error) {
	select {
	case <-r.started:
	case <-ctx.Done():
		return false, tooLate(ctx, "the server still starts, for another caller")
	}
	if !r.isFailed() && !r.isEnding() {
		return true, nil
	}
	if r.dispatch.Runs(ctx) {
		return false, invalid("server %q stops, and waits for this method to end: it can be started after that", s.target.Server)
	}
	select {
	case <-r.phase.Stopped():
		return false, nil
	case <-ctx.Done():
		return false, tooLate(ctx, "the server still stops, and can be started only after that")
	}
}

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

// Run starts the server, and stops it when ctx ends or Stop is called. It returns when the server has
// stopped. If the server runs already, Run waits for its end.
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

// lend runs methods on this goroutine until the server has stopped. A method that ends the goroutine ends
// Run, and with it the server.
func (s *Server) lend(ctx context.Context, r *run) {
	defer s.endBounded(ctx, r)
	r.loop.work(r.phase.Stopped())
}

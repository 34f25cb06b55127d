package oslorpc

import (
	"context"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/service"
)

// Server offers endpoints under a target's topic and server name. Several servers of a transport share its listener; several
// processes may have servers of the same name. It is safe for concurrent use.
type Server struct {
	transport  *Transport
	target     Target
	limits     dispatch.Limits
	policy     AccessPolicy
	ping       bool
	serializer Serializer // nil for none

	mu        sync.Mutex
	endpoints []Endpoint
	run       *serverRun // nil while it does not run
}

// serverRun is a server between a start and the end of its stop.
type serverRun struct {
	dispatch *dispatch.Server
	stopping bool // guarded by the server's lock
	// hurry is the context of the stop. Each caller of Stop that waits no longer ends it.
	hurry   context.Context //nolint:containedctx // It belongs to several callers.
	force   context.CancelFunc
	stopped chan struct{}
	err     error // of the stop; read it after stopped
}

func newServerRun(d *dispatch.Server) *serverRun {
	r := &serverRun{dispatch: d, stopped: make(chan struct{})}
	r.hurry, r.force = context.WithCancel(context.Background())
	return r
}

// ServerOption sets up a server.
type ServerOption interface{ applyServer(*Server) }

type serverOption func(*Server)

func (o serverOption) applyServer(s *Server) { o(s) }

// WithWorkers sets how many messages a server runs at once; the default is 64, as upstream.
func WithWorkers(n int) ServerOption {
	return serverOption(func(s *Server) { s.limits.Workers = n })
}

// WithQueue bounds the messages that wait for a worker, by their number and by their size together; the default is 1000 and
// 64 MiB. A message beyond it is refused, and its sender tries another server.
func WithQueue(messages, bytes int) ServerOption {
	return serverOption(func(s *Server) { s.limits.Queue, s.limits.QueueBytes = messages, bytes })
}

// Server returns a server for target, which must have a topic and a server name. Mistakes show at its start.
func (t *Transport) Server(target Target, options ...ServerOption) *Server {
	s := &Server{transport: t, target: target, limits: dispatch.DefaultLimits}
	for _, o := range options {
		o.applyServer(s)
	}
	return s
}

// Add adds endpoints, which are tried in this order. Those added while the server runs take effect at its next start.
func (s *Server) Add(endpoints ...Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, endpoints...)
}

// Start makes the server ready for messages and announces it. When it returns, whoever reads discovery anew finds it; clients
// that watch the topic hear of it within moments. Ctx bounds the start only. A server that was stopped can be started again; one that runs is left as it is.
func (s *Server) Start(ctx context.Context) error {
	for {
		ending, err := s.start(ctx)
		if ending == nil {
			return err
		}
		select {
		case <-ending.stopped:
		case <-ctx.Done():
			return &Error{Kind: Timeout, NotStarted: true, Cause: ctx.Err(), Message: "the server is stopping still"}
		}
	}
}

// start starts the server, unless it runs. It returns a run that has to end before.
func (s *Server) start(ctx context.Context) (ending *serverRun, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil && s.run.stopping {
		return s.run, nil
	}
	if s.run != nil {
		return nil, nil //nolint:nilnil // It runs.
	}
	if err := s.target.ValidateServer(); err != nil {
		return nil, err
	}
	if s.limits.Workers < 1 || s.limits.Queue < 0 || s.limits.QueueBytes < 0 {
		return nil, invalidUse("a server needs at least one worker, and a queue that is not negative")
	}
	table, err := s.table()
	if err != nil {
		return nil, err
	}
	run := newServerRun(dispatch.NewServer(s.target.Server, table, s.limits, s.transport.config.log))
	if err := s.transport.addServer(ctx, s, s.instance(table), run.dispatch); err != nil {
		run.force()
		return nil, err
	}
	s.run = run
	return nil, nil //nolint:nilnil // It runs now.
}

func (s *Server) table() (*dispatch.Table, error) {
	if s.policy > AllowExposed {
		return nil, invalidUse("there is no access policy %d: use AllowPublic, AllowAll or AllowExposed", s.policy)
	}
	built := make([]dispatch.Endpoint, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		b, err := e.build()
		if err != nil {
			return nil, err
		}
		for name, m := range b.Methods {
			b.Methods[name] = s.transport.config.errors.named(serialized(s.serializer, m))
		}
		if b.Fallback != nil {
			b.Fallback = s.transport.config.errors.named(serialized(s.serializer, b.Fallback))
		}
		built = append(built, b)
	}
	options := []dispatch.TableOption{dispatch.WithPolicy(dispatch.Policy(s.policy))}
	if s.ping {
		options = append(options, dispatch.WithPing())
	}
	return dispatch.NewTable(built, options...), nil
}

func (s *Server) instance(table *dispatch.Table) discovery.Instance {
	exchange := s.target.Exchange
	if exchange == "" {
		exchange = s.transport.config.exchange
	}
	return discovery.Instance{
		Exchange: exchange, Topic: s.target.Topic, Server: s.target.Server,
		State: discovery.Active, Implemented: table.Implemented(),
	}
}

// Stop withdraws the server, goes on accepting for a moment so that others learn of it, then refuses what comes and finishes what
// it accepted. When ctx ends first, it ends the contexts of what still runs, does not wait for it, and returns an error. A
// server that does not run is left as it is. Of several calls of Stop, each waits for the one stop, and the first whose ctx
// ends ends it.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	run := s.run
	first := run != nil && !run.stopping
	if first {
		run.stopping = true
	}
	s.mu.Unlock()
	if run == nil {
		return nil
	}
	if first {
		go s.shutdown(run)
	}
	defer context.AfterFunc(ctx, run.force)()
	<-run.stopped
	return run.err
}

// shutdown stops a run.
func (s *Server) shutdown(run *serverRun) {
	defer run.force()
	t, ctx := s.transport, run.hurry
	t.withdrawServers(ctx, s)
	grace := time.NewTimer(t.config.stopGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
	}
	if run.err = run.dispatch.Stop(ctx); run.err != nil {
		t.config.log.Warn("server stopped by force", "server", s.target.Server, "topic", s.target.Topic, "error", run.err)
	}
	t.removeServer(ctx, s)
	s.mu.Lock()
	s.run = nil
	s.mu.Unlock()
	close(run.stopped)
}

// Wait returns when the server has stopped; at once if it does not run.
func (s *Server) Wait() {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	if run != nil {
		<-run.stopped
	}
}

// Run starts the server, and stops it when ctx ends or somebody calls Stop. It finishes what the server accepted, however
// long that takes; to bound it, use Start and Stop.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	if run == nil {
		return nil
	}
	select {
	case <-run.stopped:
		return run.err
	case <-ctx.Done():
		return s.Stop(context.WithoutCancel(ctx))
	}
}

// addServer brings a server up on the transport's host, which the first one makes, and announces it.
func (t *Transport) addServer(ctx context.Context, s *Server, i discovery.Instance, d *dispatch.Server) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return errClosed()
	}
	if t.host == nil {
		h, err := newHost(ctx, &t.config)
		if err != nil {
			return err
		}
		t.host = h
	}
	t.host.add(s, &service.Server{Instance: i, Dispatch: d})
	if err := t.registry.Publish(ctx, t.host.announced()); err != nil {
		t.dropServer(ctx, s)
		return err
	}
	return nil
}

// withdrawTimeout bounds how long a server that stops waits for the registry: one that is away forgets the server by itself.
const withdrawTimeout = 3 * time.Second

// withdrawServers ends the announcement of servers, of those that are announced still.
func (t *Transport) withdrawServers(ctx context.Context, servers ...*Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == nil || !t.host.leave(servers) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	if err := t.registry.Publish(ctx, t.host.announced()); err != nil {
		t.config.log.Warn("registration was not withdrawn", "servers", len(servers), "error", err)
	}
}

func (t *Transport) removeServer(ctx context.Context, s *Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropServer(ctx, s)
}

// dropServer takes a server down, and the host with the last. The lock is held.
func (t *Transport) dropServer(ctx context.Context, s *Server) {
	t.host.remove(s)
	if len(t.host.members) == 0 {
		t.host.close(ctx)
		t.host = nil
	}
}

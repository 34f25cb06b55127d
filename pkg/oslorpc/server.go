package oslorpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/host"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/service"
)

// Server offers endpoints under a target's topic and server name. Several servers of a transport
// share its listener; several processes may have servers of the same name. It is safe for
// concurrent use.
type Server struct {
	transport *Transport
	config    serverConfig
	hosted    *host.Server

	mu        sync.Mutex
	endpoints []Endpoint
	services  []service.Registration
}

// serverConfig is what the options of a server set. It does not change afterwards.
type serverConfig struct {
	target        Target
	limits        dispatch.Limits
	policy        AccessPolicy
	ping          bool
	serializer    Serializer // nil for none
	hold          bool
	started       func(Instance)                           // may be nil
	missed        func(ctx context.Context, reason string) // may be nil
	executor      Executor
	execute       func(run func()) // in place of the executor, if it is not nil
	registrations []func(grpc.ServiceRegistrar)
	offered       map[string]string // typed services -> the versions to offer, where they are not those of the options
}

// ServerOption sets up a server.
type ServerOption interface{ applyServer(*serverConfig) }

type serverOption func(*serverConfig)

func (o serverOption) applyServer(c *serverConfig) { o(c) }

// WithWorkers sets how many messages a server runs at once; the default is 64, as upstream.
func WithWorkers(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.limits.Workers = n })
}

// WithQueue bounds the messages that wait for a worker, by their number and by their size together;
// the default is 1000 and 64 MiB. A message beyond it is refused, and its sender tries another
// server.
func WithQueue(messages, bytes int) ServerOption {
	return serverOption(func(c *serverConfig) { c.limits.Queue, c.limits.QueueBytes = messages, bytes })
}

// WithHold has each start leave the server held, until [Server.Release]: it accepts messages into
// its queue, and runs none. Messages for any server avoid it. [Server.Start] returns when the
// server has seen itself in discovery, but on static:// and on consul:// with a dc, which may be
// another than its own.
func WithHold() ServerOption {
	return serverOption(func(c *serverConfig) { c.hold = true })
}

// WithStarted sets a function that is called after each start: clients can find the server then,
// and it accepts messages. [Server.Start] and [Server.Run] call it before they go on, so it should
// return soon. It is not called for a start that failed, or that finds the server running. A
// program that calls only Run can print "ready" in it:
//
//	s := t.Server(target, oslorpc.WithStarted(func(i oslorpc.Instance) {
//		log.Print("ready at ", i.Addr)
//	}))
//	err := s.Run(ctx)
func WithStarted(notify func(Instance)) ServerOption {
	return serverOption(func(c *serverConfig) { c.started = notify })
}

// Server returns a server for target, which must have a topic and a server name. Mistakes show at
// its start.
func (t *Transport) Server(target Target, options ...ServerOption) *Server {
	s := &Server{transport: t, config: serverConfig{
		target: target, limits: dispatch.DefaultLimits, executor: ExecutorPool, offered: map[string]string{},
	}}
	for _, o := range options {
		o.applyServer(&s.config)
	}
	s.hosted = t.host.Server(target, s.configure)
	for _, register := range s.config.registrations {
		register(s)
	}
	return s
}

// Add adds endpoints, which are tried in this order. Those added while the server runs take effect
// at its next start.
func (s *Server) Add(endpoints ...Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, endpoints...)
}

// configure returns what the next start serves.
func (s *Server) configure() (*host.ServerConfig, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.config
	endpoints, err := s.built()
	if err != nil {
		return nil, err
	}
	services := map[string]*intake.Service{}
	for _, r := range s.services {
		offered, e, err := r.Resolve(c.offered)
		if err != nil {
			return nil, err
		}
		if services[e.Service] != nil {
			return nil, invalidUse("the service %s is registered twice on server %q", e.Service, c.target.Server)
		}
		services[e.Service] = offered
		endpoints = append(endpoints, s.wrapped(e))
	}
	options := []dispatch.TableOption{dispatch.WithPolicy(dispatch.Policy(c.policy))}
	if c.ping {
		options = append(options, dispatch.WithPing())
	}
	return &host.ServerConfig{
		Target: c.target, Table: dispatch.NewTable(endpoints, options...), Services: services, Limits: c.limits,
		Executor: host.Executor(c.executor), Execute: c.execute, Hold: c.hold, Started: c.started, Missed: c.missed,
	}, nil
}

// built returns the endpoints as they are dispatched to. The lock is held.
func (s *Server) built() ([]dispatch.Endpoint, error) {
	if s.config.policy > AllowExposed {
		return nil, invalidUse("there is no access policy %d: use AllowPublic, AllowAll or AllowExposed", s.config.policy)
	}
	list := make([]dispatch.Endpoint, 0, len(s.endpoints)+len(s.services))
	for _, e := range s.endpoints {
		built, err := e.build()
		if err != nil {
			return nil, err
		}
		list = append(list, s.wrapped(built))
	}
	return list, nil
}

// wrapped returns an endpoint with what the server and its transport put around its methods.
func (s *Server) wrapped(e dispatch.Endpoint) dispatch.Endpoint {
	c := &s.transport.config
	wrap := func(m *dispatch.Method) *dispatch.Method {
		return c.watched(serialized(s.config.serializer, m))
	}
	for name, m := range e.Methods {
		e.Methods[name] = wrap(m)
	}
	if e.Fallback != nil {
		e.Fallback = wrap(e.Fallback)
	}
	return e
}

package oslorpc

import (
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/dispatch"
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
	hold       bool
	started    func(Instance)                           // may be nil
	missed     func(ctx context.Context, reason string) // may be nil
	executor   string
	custom     func(run func()) // in place of the executor, if it is not nil

	// mu comes before all other locks, and is not held while anything is waited for.
	mu        sync.Mutex
	endpoints []Endpoint
	services  []typedService
	offered   map[string]string // typed services -> the versions to offer, where they are not those of the options
	run       *serverRun        // nil while it neither runs nor starts
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

// WithHold has each start leave the server held, until [Server.Release]: it accepts messages into its queue, and runs none. Messages
// for any server avoid it. [Server.Start] returns when the server has seen itself in discovery, but on static:// and on consul://
// with a dc, which may be another than its own.
func WithHold() ServerOption {
	return serverOption(func(s *Server) { s.hold = true })
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
	return serverOption(func(s *Server) { s.started = notify })
}

// Server returns a server for target, which must have a topic and a server name. Mistakes show at its start.
func (t *Transport) Server(target Target, options ...ServerOption) *Server {
	s := &Server{transport: t, target: target, limits: dispatch.DefaultLimits, executor: ExecutorPool}
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
			b.Methods[name] = s.wrapped(m)
		}
		if b.Fallback != nil {
			b.Fallback = s.wrapped(b.Fallback)
		}
		built = append(built, b)
	}
	for _, t := range s.services {
		e, err := s.typedEndpoint(t)
		if err != nil {
			return nil, err
		}
		built = append(built, e)
	}
	options := []dispatch.TableOption{dispatch.WithPolicy(dispatch.Policy(s.policy))}
	if s.ping {
		options = append(options, dispatch.WithPing())
	}
	return dispatch.NewTable(built, options...), nil
}

// wrapped returns a method with what the server and its transport put around it.
func (s *Server) wrapped(m *dispatch.Method) *dispatch.Method {
	c := &s.transport.config
	return c.watched(serialized(s.serializer, m))
}

func (s *Server) instance(table *dispatch.Table) discovery.Instance {
	exchange := s.target.Exchange
	if exchange == "" {
		exchange = s.transport.config.exchange
	}
	return discovery.Instance{
		Exchange: exchange, Topic: s.target.Topic, Server: s.target.Server,
		Implemented: table.Implemented(),
	}
}

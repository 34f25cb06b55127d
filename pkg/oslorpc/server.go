package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/host"
)

// Server offers endpoints under a target's topic and server name. Several servers of a transport
// share its listener; several processes may have servers of the same name. It is safe for
// concurrent use.
type Server struct{ hosted *host.Server }

// ServerOption sets up a server.
type ServerOption interface{ applyServer(*host.ServerConfig) }

type serverOption func(*host.ServerConfig)

func (o serverOption) applyServer(c *host.ServerConfig) { o(c) }

// WithWorkers sets how many messages a server runs at once; the default is 64, as upstream.
func WithWorkers(n int) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Limits.Workers = n })
}

// WithQueue bounds the messages that wait for a worker, by their number and by their size together;
// the default is 1000 and 64 MiB. A message beyond it is refused, and its sender tries another
// server.
func WithQueue(messages, bytes int) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Limits.Queue, c.Limits.QueueBytes = messages, bytes })
}

// WithHold has each start leave the server held, until [Server.Release]: it accepts messages into
// its queue, and runs none. Messages for any server avoid it. [Server.Start] returns when the
// server has seen itself in discovery, but on static:// and on consul:// with a dc, which may be
// another than its own.
func WithHold() ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Hold = true })
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
	return serverOption(func(c *host.ServerConfig) { c.Started = notify })
}

// Server returns a server for target, which must have a topic and a server name. Mistakes show at
// its start.
func (t *Transport) Server(target Target, options ...ServerOption) *Server {
	c := host.ServerConfig{Target: target, Limits: dispatch.DefaultLimits, Executor: host.Pool}
	for _, o := range options {
		o.applyServer(&c)
	}
	return &Server{t.host.Server(c)}
}

// Add adds endpoints, which are tried in this order. Those added while the server runs take effect
// at its next start.
func (s *Server) Add(endpoints ...Endpoint) {
	list := make([]endpoint.Endpoint, len(endpoints))
	for i, e := range endpoints {
		list[i] = e.described()
	}
	s.hosted.Add(list...)
}

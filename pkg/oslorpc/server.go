package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/host"
)

// Server offers endpoints under a topic and a server name. The servers of a transport share one
// listener. Several processes may have servers of the same name. A Server is safe for concurrent
// use.
type Server struct{ hosted *host.Server }

// ServerOption sets up a server.
type ServerOption interface{ applyServer(*host.ServerConfig) }

type serverOption func(*host.ServerConfig)

func (o serverOption) applyServer(c *host.ServerConfig) { o(c) }

// WithWorkers sets how many messages a server runs at once. The default is 64, as in
// oslo.messaging.
func WithWorkers(n int) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Limits.Workers = n })
}

// WithQueue bounds the messages that wait for a worker, by their number and by their total size in
// bytes. The default is 1000 messages and 64 MiB. A message that exceeds a bound is refused, and
// its sender tries another server.
func WithQueue(messages, bytes int) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Limits.Queue, c.Limits.QueueBytes = messages, bytes })
}

// WithHold starts the server held, until [Server.Release]: it accepts messages into its queue but
// runs none. A message that names no server goes to a held server only if no other server can serve
// it. [Server.Start] waits until the server has seen itself in discovery. The exceptions are
// static://, gateway://, and consul:// with a dc, which may be another datacenter than the
// server's.
func WithHold() ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Hold = true })
}

// WithStarted sets a function that is called after each successful start, when clients can find the
// server and it accepts messages. [Server.Start] and [Server.Run] wait for it, so it should return
// soon. It is not called if the server runs already. A program that calls only Run can use it to
// print "ready":
//
//	s := t.Server(target, oslorpc.WithStarted(func(i oslorpc.Instance) {
//		log.Print("ready at ", i.Addr)
//	}))
//	err := s.Run(ctx)
func WithStarted(notify func(Instance)) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Started = notify })
}

// Server returns a server for target, which must have a topic and a server name. The server's start
// reports mistakes.
func (t *Transport) Server(target Target, options ...ServerOption) *Server {
	c := host.ServerConfig{Target: target, Limits: dispatch.DefaultLimits, Executor: host.Pool}
	for _, o := range options {
		o.applyServer(&c)
	}
	return &Server{t.host.Server(c)}
}

// Add adds endpoints. The server tries endpoints in the order in which they were added. Endpoints
// that are added while the server runs take effect at its next start.
func (s *Server) Add(endpoints ...Endpoint) {
	list := make([]endpoint.Endpoint, len(endpoints))
	for i, e := range endpoints {
		list[i] = e.described()
	}
	s.hosted.Add(list...)
}

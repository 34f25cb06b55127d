package oslorpc

import (
	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/host"
)

// A server takes what generated code registers.
var _ grpc.ServiceRegistrar = (*Server)(nil)

// RegisterService adds a typed service, a program's own protobuf service, beside the endpoints:
// generated code calls it, as in inventorypb.RegisterInventoryServer(server, impl). It takes effect
// at the server's next start, where mistakes show.
//
// The options of the service (oslorpc/v1/options.proto) say in which namespace and at what version
// the server then implements it; without options, that is version 1.0 of a namespace with the
// service's full name. Its messages pass through the server's queue, are admitted or refused, and
// run on its workers, as all others; a method whose delivery is a cast or a fanout is answered when
// its message is accepted. The interceptors of [WithServerOptions] see the service's own methods,
// before a message is queued. A status that a method returns arrives as it is; other errors, and
// panics, arrive as from any method, as a [*RemoteError].
//
// One server offers a service once. Its access policy does not concern typed services.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.hosted.RegisterService(desc, impl)
}

// WithServices registers typed services: register calls what generated code has for that, with the
// server. It is [Server.RegisterService] for who has options only, as in package oslorpctest.
func WithServices(register func(grpc.ServiceRegistrar)) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Register = append(c.Register, register) })
}

// WithServiceVersion has the server offer a typed service, by its full protobuf name, at an earlier
// version than the service's options say, of the same major version: for a server that has the new
// code and is not ready for it, such as while a migration of its data runs. Methods that appeared
// later are not offered.
func WithServiceVersion(service, version string) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.OfferAt(service, version) })
}

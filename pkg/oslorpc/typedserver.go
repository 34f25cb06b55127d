package oslorpc

import (
	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/host"
)

// Generated code can register services with a *Server.
var _ grpc.ServiceRegistrar = (*Server)(nil)

// RegisterService adds a typed service, a program's own protobuf service, next to the endpoints.
// Generated code calls it, as in inventorypb.RegisterInventoryServer(server, impl). It takes effect
// at the server's next start, which reports mistakes.
//
// The options of the service (oslorpc/v1/options.proto) give its namespace and version. Without
// options, these are the service's full name and 1.0. Its messages pass through the server's queue,
// can be refused, and run on the server's workers, as all other messages. A method whose delivery
// is a cast or a fanout is answered when its message is accepted. The interceptors of
// [WithServerOptions] see the service's own methods, before a message is queued. A status that a
// method returns arrives unchanged. Other errors, and panics, arrive as a [*RemoteError], as from
// any method.
//
// A server can offer a service only once. Its access policy does not apply to typed services.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.hosted.RegisterService(desc, impl)
}

// WithServices registers typed services. Register gets the server, and calls the registration
// functions of generated code. It is [Server.RegisterService] for programs that can pass only
// options, as in package oslorpctest.
func WithServices(register func(grpc.ServiceRegistrar)) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Register = append(c.Register, register) })
}

// WithServiceVersion makes the server offer a typed service, by its full protobuf name, at an
// earlier version than the service's options say, of the same major version. It is for a server
// that has the new code but must not offer it yet, for example while its data migrates. Methods
// that appeared later are not offered.
func WithServiceVersion(service, version string) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.OfferAt(service, version) })
}

package oslorpc

import "github.com/oslorpc/oslorpc/pkg/rpc"

type (
	// Interceptor is code around the messages of a transport; see [rpc.Interceptor].
	Interceptor = rpc.Interceptor
	// Message describes a message to an interceptor and to a method; see [rpc.Message].
	Message = rpc.Message
)

// WithInterceptors adds interceptors. The first one is outermost. They see every message of the
// transport's clients and servers, on every carrier: calls, casts, fanouts, gathers, multicalls and
// typed services. [WithServerOptions] and [WithDialOptions] can add interceptors of gRPC. Those see
// only the RPCs of gRPC, and nothing of a message after its RPC has ended.
func WithInterceptors(list ...Interceptor) TransportOption {
	return transportOption(func(c *config) { c.interceptors = append(c.interceptors, list...) })
}

package host

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/inprocess"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/security"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config is the configuration of a serving process, for all of its servers. It is immutable.
type Config struct {
	// Exchange is the exchange of targets that name none.
	Exchange string
	// Listen is the address to listen on; empty for the default of the registry. Advertise is the
	// address that others connect to; empty for the same one. See WithListen of package oslorpc.
	Listen, Advertise string
	// Zone is where the process runs; empty if unknown.
	Zone string
	// Trust has the credentials of connections, and the policy of servers.
	Trust *security.Trust
	// Limits bound what peers make the process hold. No field is zero.
	Limits rpc.Limits
	// StopGrace is how long a stopping server still accepts messages after it withdrew its
	// registration.
	StopGrace time.Duration
	// StopTimeout bounds a stop without a caller's context, such as at the end of Run. 0 or less
	// sets no bound.
	StopTimeout time.Duration
	// Interceptors run before messages are accepted, and around their methods.
	Interceptors []rpc.Interceptor
	// Describe names the errors of methods; it may be nil.
	Describe dispatch.DescribeFunc
	// Options are given to gRPC after the library's own options, and have precedence.
	Options []grpc.ServerOption
	Log     *slog.Logger
	// Registry is where the servers are published.
	Registry registry.Registry
	Listed   Listed // how this process itself sees the registry
	// Gateway makes the process a gateway; nil for none.
	Gateway Gateway
	// Test replaces the network in tests; nil otherwise.
	Test *inprocess.Process
}

// Gateway forwards messages for servers of other processes.
type Gateway interface {
	intake.Forwarder
	// Open sets the intake of the process. It is called before the first message.
	Open(in *intake.Intake)
	// Leave is called when the process begins to stop.
	Leave()
	// Stop refuses further messages. It returns when all forwarded messages are answered, or when ctx
	// ends.
	Stop(ctx context.Context) error
	// Beside returns further instances to announce, with the boot id and the address of this
	// process, through which they are reached. It must not call the host.
	Beside(bootID, addr string) []rpc.Instance
	// Attach answers the RPC of a process that attaches servers.
	Attach(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse], allow func(*rpc.Instance) error) error
}

// Listed returns the ids of the instances that discovery lists on a topic, as this process sees it,
// and a channel that is closed when they change. It waits until discovery was read once.
type Listed func(ctx context.Context, topic registry.Topic) (ids []string, changed <-chan struct{}, err error)

// ServerConfig is the configuration of a server. It is immutable.
type ServerConfig struct {
	Target rpc.Target
	// Policy says which methods may be called.
	Policy dispatch.Policy
	// Ping adds oslo.messaging's ping method, unless an endpoint has it.
	Ping bool
	// Serializer converts between the methods' values and their encoded form; nil for none.
	Serializer endpoint.Serializer
	// Register are called with the server, to register typed services.
	Register []func(grpc.ServiceRegistrar)
	// ServiceVersions has the versions at which typed services are offered, by their full protobuf
	// names. A service that is not in it is offered at the version in its options.
	ServiceVersions map[string]string
	Limits          dispatch.Limits
	Executor        Executor
	// Execute runs methods in place of Executor; nil to use Executor.
	Execute func(run func())
	// Hold makes the server accept messages but run none before Release.
	Hold bool
	// Started is called when the start is complete, with the server as discovery lists it; nil for
	// none.
	Started func(rpc.Instance)
	// Missed is called when the server may have missed messages, with the reason; nil for none.
	Missed func(ctx context.Context, reason string)
}

// OfferAt sets the version at which a typed service is offered.
func (c *ServerConfig) OfferAt(service, version string) {
	if c.ServiceVersions == nil {
		c.ServiceVersions = map[string]string{}
	}
	c.ServiceVersions[service] = version
}

// check returns an error for an invalid configuration. Lends is true if methods may run on the
// goroutine that starts the server, as in [Server.Run].
func (c *ServerConfig) check(lends bool) error {
	if err := c.Target.ValidateServer(); err != nil {
		return err
	}
	if c.Limits.Workers < 1 || c.Limits.Queue < 0 || c.Limits.QueueBytes < 0 {
		return failure.Invalid("a server needs at least one worker, and a queue that is not negative")
	}
	switch {
	case c.Execute != nil, c.Executor == Pool:
		return nil
	case c.Executor != Blocking:
		return failure.Invalid("there is no executor %q: take %q or %q, or write one for WithExecutorFunc", c.Executor, Pool, Blocking)
	case !lends:
		return failure.Invalid("a server with the executor %q runs its methods on the goroutine that calls Run: call Run instead of Start", Blocking)
	default:
		return nil
	}
}

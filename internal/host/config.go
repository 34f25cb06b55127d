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

// Config says how the servers of a process are reached. It is immutable.
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
	// StopGrace is how long a stopping server goes on accepting after it withdrew its registration.
	StopGrace time.Duration
	// StopTimeout bounds the stops that no caller bounds. 0 or less sets no bound.
	StopTimeout time.Duration
	// Interceptors run around messages, and before their acceptance.
	Interceptors []rpc.Interceptor
	// Describe names the errors of methods; it may be nil.
	Describe dispatch.DescribeFunc
	// Options come after the library's own.
	Options []grpc.ServerOption
	Log     *slog.Logger
	// Registry is told of the servers.
	Registry registry.Registry
	Listed   Listed
	// Gateway makes the process a gateway; nil for none.
	Gateway Gateway
	// Test has what a test replaces; nil except in tests.
	Test *inprocess.Process
}

// Gateway forwards messages for servers that this process does not have.
type Gateway interface {
	intake.Forwarder
	// Open sets the intake through which messages arrive, before the first one.
	Open(in *intake.Intake)
	// Leave says that the process begins to stop.
	Leave()
	// Stop refuses further messages. It returns when all forwarded messages are answered, or when ctx
	// ends.
	Stop(ctx context.Context) error
	// Beside returns further instances to announce. They are reached through the process at its boot
	// id and its address. It must not call the host.
	Beside(bootID, addr string) []rpc.Instance
	// Attach answers the RPC of a process that attaches servers.
	Attach(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse], allow func(*rpc.Instance) error) error
}

// Listed returns the ids of the instances that this process sees on a topic, and a channel that is
// closed when they change. It waits until discovery was read.
type Listed func(ctx context.Context, topic registry.Topic) (ids []string, changed <-chan struct{}, err error)

// ServerConfig is the configuration of a server. It is immutable.
type ServerConfig struct {
	Target rpc.Target
	// Policy says which methods messages can ask for.
	Policy dispatch.Policy
	// Ping makes the server answer pings that are messages.
	Ping bool
	// Serializer converts between the methods' values and their encoded form; nil for none.
	Serializer endpoint.Serializer
	// Register are called with the server, to register typed services.
	Register []func(grpc.ServiceRegistrar)
	// ServiceVersions has the versions of typed services, by their full protobuf names, that are
	// not to be offered at the version in their options.
	ServiceVersions map[string]string
	Limits          dispatch.Limits
	Executor        Executor
	// Execute says where methods run, in place of the executor; nil for the executor.
	Execute func(run func())
	// Hold has the server run nothing until Release.
	Hold bool
	// Started is called with the server when others can find it; nil for none.
	Started func(rpc.Instance)
	// Missed is called when messages may have been missed; nil for none.
	Missed func(ctx context.Context, reason string)
}

// OfferAt sets the version at which a typed service is offered.
func (c *ServerConfig) OfferAt(service, version string) {
	if c.ServiceVersions == nil {
		c.ServiceVersions = map[string]string{}
	}
	c.ServiceVersions[service] = version
}

// check returns what is wrong with a configuration. Lends is true if the caller of the start lends
// its goroutine to the executor.
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

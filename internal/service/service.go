// Package service answers the gRPC services of the contract, and the typed services of the servers
// of a process: it decodes what RPCs carry, hands it to package intake, and encodes the results.
package service

import (
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Services are the gRPC services of a process.
type Services struct {
	pb.UnimplementedRPCServiceServer
	pb.UnimplementedIntrospectionServiceServer

	intake  *intake.Intake
	started time.Time
	// gateway processes forward messages. AttachServers answers processes that attach servers to
	// them.
	gateway       bool
	attachServers AttachFunc
	zone          string
	// silent processes do not describe themselves.
	silent bool
	// watched processes have something of the program that may see their messages in gRPC.
	watched bool
	// relays: messages of sessions are forwarded in sessions.
	relays bool

	sessions sessions
	grace    time.Duration
}

// Option changes services.
type Option func(*Services)

// WithoutInfo has the process refuse to describe itself.
func WithoutInfo() Option { return func(s *Services) { s.silent = true } }

// WithGrace sets how long the methods of a session run on whose connection was lost.
func WithGrace(d time.Duration) Option { return func(s *Services) { s.grace = d } }

// AttachFunc answers the RPC of a process that attaches servers to a gateway. Allow returns why it
// must not attach one.
type AttachFunc = func(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse], allow func(*rpc.Instance) error) error

// WithGateway has the process serve GatewayService, and forward messages of all typed services. The
// intake must have a forwarder.
func WithGateway(attach AttachFunc) Option {
	return func(s *Services) { s.gateway, s.attachServers = true, attach }
}

// InZone has the process say where it runs.
func InZone(zone string) Option { return func(s *Services) { s.zone = zone } }

// New returns the services through which messages come to an intake.
func New(in *intake.Intake, options ...Option) *Services {
	s := &Services{intake: in, started: time.Now(), grace: SessionGrace}
	for _, o := range options {
		o(s)
	}
	return s
}

// Register makes the services of the contract known to a gRPC server. Watched says that something
// of the program, such as a statistics handler, may see the messages of the server. A server with
// [Services.Unknown] as its handler of unknown services answers all other RPCs.
func (s *Services) Register(r grpc.ServiceRegistrar, watched bool) {
	s.watched, s.relays = watched, s.intake.Relays()
	contract := bounded(&pb.RPCService_ServiceDesc)
	if !watched {
		contract = s.direct(contract)
	}
	r.RegisterService(sealed(contract), s)
	r.RegisterService(sealed(bounded(&pb.IntrospectionService_ServiceDesc)), s)
	if s.gateway {
		r.RegisterService(sealed(bounded(&pb.GatewayService_ServiceDesc)), &gatewayService{services: s})
	}
}

// statusOf returns the error of a message as the status of its RPC.
func statusOf(err error, implemented []rpc.Implementation) error {
	var listed []*pb.Implementation
	if rpc.KindOf(err) == rpc.UnsupportedVersion {
		listed = rpcstatus.Implementations(implemented)
	}
	return rpcstatus.Encode(err, listed).Err()
}

// about returns an error with the method that it is about.
func about(method string, err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	named := *e
	named.Method = method
	return &named
}

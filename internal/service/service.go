// Package service answers the gRPC services of the contract for the servers of a process: it is the carrier that brings
// messages to package dispatch and takes the results back.
package service

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Server is one server of the process: an instance, as discovery knows it, and what runs its messages. It is immutable.
type Server struct {
	Instance discovery.Instance // its State says nothing; the phase of Dispatch does
	Dispatch *dispatch.Dispatcher
	// Typed are the typed services that it offers, by their names.
	Typed map[string]*Typed
	// Missed is told how long ago a message for the server could not be delivered, before the message that says so; nil if nobody is
	// to know.
	Missed func(ago time.Duration)
}

// Process answers for all servers of a process.
type Process struct {
	pb.UnimplementedRPCServiceServer
	pb.UnimplementedIntrospectionServiceServer

	config  Config
	started time.Time
	roster  atomic.Pointer[roster]
}

// Config is what the services of a process need to know.
type Config struct {
	// BootID identifies this run of the process.
	BootID string
	// Exchange is that of a target that names none.
	Exchange string
	// MaxSize bounds a request and a result, in bytes.
	MaxSize int
}

// New returns the services of a process without servers yet.
func New(config Config) *Process {
	p := &Process{config: config, started: time.Now()}
	p.SetServers(nil)
	return p
}

// Register makes the services known to a gRPC server.
func (p *Process) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(sealed(&pb.RPCService_ServiceDesc), p)
	r.RegisterService(sealed(&pb.IntrospectionService_ServiceDesc), p)
}

// SetServers replaces the servers of the process. The list must not be changed afterwards.
func (p *Process) SetServers(servers []*Server) { p.roster.Store(newRoster(servers)) }

// find returns the server that a message is meant for. If the client chose an instance, it must be that one and serve the
// target; otherwise any server of the process that does, in turn.
func (p *Process) find(target rpc.Target, instanceID string) (*Server, error) {
	topic := discovery.Topic{Exchange: target.Exchange, Name: target.Topic}
	if topic.Exchange == "" {
		topic.Exchange = p.config.Exchange
	}
	if g := p.roster.Load().topics[topic]; g != nil {
		if s := g.find(target.Server, instanceID); s != nil {
			return s, nil
		}
	}
	e := p.absent(instanceID, "no server of this process is meant; if the address is right, the topic, exchange or server name is not")
	e.Target = target
	return nil, e
}

// absent returns the error for a message that no server of the process is meant by. An instance of
// this run that is not here has stopped, for good; else the client has come to the wrong process.
func (p *Process) absent(instanceID, message string) *rpc.Error {
	is := func(s *Server) bool { return s.Instance.ID == instanceID }
	if strings.HasPrefix(instanceID, p.config.BootID+".") && !slices.ContainsFunc(p.roster.Load().servers, is) {
		e := refusal.New(refusal.Stopping)
		e.Message = "the instance has stopped"
		return e
	}
	e := refusal.New(refusal.Misdirected)
	e.Message = message
	return e
}

// fail returns err as the status of an RPC, signed by the server that says so.
func fail(s *Server, m *pb.Message, err error) error {
	var seen []*pb.Implementation
	kind := rpc.KindOf(err)
	if s != nil && kind == rpc.UnsupportedVersion {
		seen = implementations(s)
	}
	return rpcstatus.Encode(sign(err, s, m), seen).Err()
}

func implementations(s *Server) []*pb.Implementation {
	list := make([]*pb.Implementation, 0, len(s.Instance.Implemented))
	for _, i := range s.Instance.Implemented {
		implementation := &pb.Implementation{Version: i.Version.String()}
		if i.Namespace != "" {
			implementation.Namespace = &i.Namespace
		}
		list = append(list, implementation)
	}
	return list
}

package oslorpc

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/service"
)

// host is what the servers of a transport share: a listener, a gRPC server on it, and the announcement in the registry. It
// lives from the start of the first server to the stop of the last. It is guarded by the transport's lock.
type host struct {
	bootID  string
	addr    string // advertised
	grpc    *grpc.Server
	health  *health.Server
	process *service.Process
	serving sync.WaitGroup
	nextID  int
	members []hosted
}

// hosted is a server on a host.
type hosted struct {
	owner  *Server
	server *service.Server
	// leaving servers are not announced any more.
	leaving bool
}

// How long an unused connection is kept by a server, and how many goroutines gRPC keeps warm for messages.
const maxIdle = 15 * time.Minute

var streamWorkers = uint32(2 * runtime.GOMAXPROCS(0))

func newHost(ctx context.Context, c *config) (*host, error) {
	listener, addr, err := listen(ctx, c)
	if err != nil {
		return nil, err
	}
	h := &host{bootID: randomID(8), addr: addr}
	options := append([]grpc.ServerOption{
		grpc.Creds(c.credentials),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: peer.MinPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle}),
		grpc.MaxRecvMsgSize(c.maxSize + sizeSlack),
		grpc.MaxSendMsgSize(c.maxSize + sizeSlack),
		grpc.NumStreamWorkers(streamWorkers),
	}, c.serverOptions...)
	h.grpc = grpc.NewServer(options...)
	h.process = service.New(service.Config{BootID: h.bootID, Exchange: c.exchange, MaxSize: c.maxSize})
	h.process.Register(h.grpc)
	h.health = health.NewServer()
	healthpb.RegisterHealthServer(h.grpc, h.health)
	reflection.Register(h.grpc)
	h.serving.Go(func() {
		if err := h.grpc.Serve(listener); err != nil {
			c.log.Error("gRPC server ended", "address", addr, "error", err)
		}
	})
	return h, nil
}

// add takes a server in, ready for messages but not announced yet.
func (h *host) add(owner *Server, s *service.Server) {
	h.nextID++
	s.Instance.ID = h.bootID + "." + strconv.Itoa(h.nextID)
	s.Instance.BootID, s.Instance.Addr = h.bootID, h.addr
	h.members = append(h.members, hosted{owner: owner, server: s})
	h.health.SetServingStatus(s.Instance.Topic, healthpb.HealthCheckResponse_SERVING)
	h.refresh()
}

// leave marks a server as stopping, and remove takes it out.
func (h *host) leave(owner *Server) {
	for i, m := range h.members {
		if m.owner == owner {
			stopping := *m.server
			stopping.Stopping = true
			h.members[i] = hosted{owner: owner, server: &stopping, leaving: true}
		}
	}
	h.refresh()
}

func (h *host) remove(owner *Server) {
	h.members = slices.DeleteFunc(h.members, func(m hosted) bool { return m.owner == owner })
	h.refresh()
}

func (h *host) refresh() {
	list := make([]*service.Server, len(h.members))
	serving := map[string]bool{}
	for i, m := range h.members {
		list[i] = m.server
		topic := m.server.Instance.Topic
		serving[topic] = serving[topic] || !m.leaving
	}
	h.process.SetServers(list)
	for topic, up := range serving {
		if !up {
			h.health.SetServingStatus(topic, healthpb.HealthCheckResponse_NOT_SERVING)
		}
	}
}

// announced returns the instances that others are to see.
func (h *host) announced() []discovery.Instance {
	var list []discovery.Instance
	for _, m := range h.members {
		if !m.leaving {
			list = append(list, m.server.Instance)
		}
	}
	return list
}

func (h *host) owners() []*Server {
	var list []*Server
	for _, m := range h.members {
		list = append(list, m.owner)
	}
	return list
}

// drainTime is how long the last RPCs of a host get, once no server has work any more: what is left are streams without an end, such as a
// watch of its health.
const drainTime = time.Second

// close ends the host. Unless ctx ends first, RPCs that run get a moment to finish.
func (h *host) close(ctx context.Context) {
	h.health.Shutdown()
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		h.grpc.GracefulStop()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		h.grpc.Stop()
		<-drained
	}
	h.serving.Wait()
}

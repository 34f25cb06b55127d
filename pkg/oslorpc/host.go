package oslorpc

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/service"
)

// host is what the servers of a transport share: a listener, a gRPC server on it, and the announcement in the registry. It
// lives from the start of the first server to the stop of the last. It is guarded by the transport's lock.
type host struct {
	bootID   string
	addr     string // advertised
	listener *connListener
	grpc     *grpc.Server
	health   *health.Server
	intake   *intake.Intake
	serving  sync.WaitGroup
	nextID   int
	members  []hosted
	topics   map[string]bool // all that its health was asked about or may be
	// closing ends streams that would never end by themselves.
	closing context.Context //nolint:containedctx // It is the host's own.
	end     context.CancelFunc
}

// hosted is a server on a host.
type hosted struct {
	owner  *Server
	server *intake.Server
	phase  *phase.Machine
	// change is the number of its last change that others are to know, and noted is the phase after
	// it.
	change uint64
	noted  phase.Phase
}

// instance returns the server as discovery is to list it.
func (m *hosted) instance() discovery.Instance {
	i := m.server.Instance
	switch m.phase.Phase() {
	case phase.Held:
		i.State = discovery.Held
	case phase.Active:
		i.State = discovery.Active
	default:
		i.State = discovery.Draining
	}
	return i
}

// How long an unused connection is kept by a server, after what silence it looks whether the client is there still, and how many goroutines
// gRPC keeps warm for messages.
const (
	maxIdle  = 15 * time.Minute
	pingTime = 20 * time.Second
)

var streamWorkers = uint32(2 * runtime.GOMAXPROCS(0))

func newHost(ctx context.Context, c *config) (*host, error) {
	listener, addr, err := listen(ctx, c)
	if err != nil {
		return nil, err
	}
	h := &host{bootID: randomID(8), addr: addr, listener: trackConns(listener), topics: map[string]bool{}}
	h.intake = intake.New(intake.Config{
		BootID: h.bootID, Exchange: c.exchange, MaxSize: c.maxSize, Interceptors: c.interceptors, Log: c.log,
	})
	services := service.New(h.intake)
	h.closing, h.end = context.WithCancel(context.Background())
	options := append([]grpc.ServerOption{
		grpc.Creds(c.credentials),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: peer.MinPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle, Time: pingTime, Timeout: pingTime}),
		grpc.ChainStreamInterceptor(h.endStream),
		grpc.MaxRecvMsgSize(c.maxSize + sizeSlack),
		grpc.MaxSendMsgSize(c.maxSize + sizeSlack),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.UnknownServiceHandler(services.Unknown),
	}, c.serverOptions...)
	h.grpc = grpc.NewServer(options...)
	services.Register(h.grpc)
	h.health = health.NewServer()
	healthpb.RegisterHealthServer(h.grpc, h.health)
	offered := reflection.ServerOptions{Services: service.Offered{Services: services, Server: h.grpc}}
	reflectionv1.RegisterServerReflectionServer(h.grpc, reflection.NewServerV1(offered))
	reflectionv1alpha.RegisterServerReflectionServer(h.grpc, reflection.NewServer(offered))
	services.RegisterTyped(h.grpc) //nolint:contextcheck // Each message comes with its own.
	return h, nil
}

// serve begins to take connections, until stopListening.
func (h *host) serve(log *slog.Logger) {
	h.serving.Go(func() {
		if err := h.grpc.Serve(h.listener); err != nil && h.closing.Err() == nil {
			log.Error("gRPC server ended", "address", h.addr, "error", err)
		}
	})
}

// add takes a server in, ready for messages but not announced yet, and completes its instance. It
// returns the number of this change.
func (h *host) add(owner *Server, s *intake.Server, p *phase.Machine, change uint64) {
	h.nextID++
	s.Instance.ID = h.bootID + "." + strconv.Itoa(h.nextID)
	s.Instance.BootID, s.Instance.Addr = h.bootID, h.addr
	p.Open(owner.hold)
	h.members = append(h.members, hosted{owner: owner, server: s, phase: p, change: change, noted: p.Phase()})
	h.health.SetServingStatus(s.Instance.Topic, healthpb.HealthCheckResponse_SERVING)
	h.topics[s.Instance.Topic] = true
	h.refresh()
}

// leave marks servers as stopping, and reports whether one was not yet. Remove takes one out.
func (h *host) leave(owners []*Server) (news bool) {
	for i := range h.members {
		m := &h.members[i]
		if !slices.Contains(owners, m.owner) {
			continue
		}
		m.phase.Leave()
		news = news || m.noted.IsAnnounced()
		m.noted = m.phase.Phase()
	}
	h.refresh()
	return news
}

// change applies a change to a server and returns the server, or nil if it is not on this host.
func (h *host) change(owner *Server, change func(*hosted)) *hosted {
	for i := range h.members {
		m := &h.members[i]
		if m.owner != owner {
			continue
		}
		change(m)
		return m
	}
	return nil
}

func (h *host) remove(owner *Server) {
	h.members = slices.DeleteFunc(h.members, func(m hosted) bool { return m.owner == owner })
	h.refresh()
}

func (h *host) refresh() {
	list := make([]*intake.Server, len(h.members))
	serving := map[string]bool{}
	for i, m := range h.members {
		list[i] = m.server
		topic := m.server.Instance.Topic
		serving[topic] = serving[topic] || m.phase.Phase().IsAnnounced()
	}
	h.intake.SetServers(list)
	for topic := range h.topics {
		if !serving[topic] {
			h.health.SetServingStatus(topic, healthpb.HealthCheckResponse_NOT_SERVING)
		}
	}
}

// announced returns the instances that others are to see.
func (h *host) announced() []discovery.Instance {
	var list []discovery.Instance
	for _, m := range h.members {
		if m.phase.Phase().IsAnnounced() {
			list = append(list, m.instance())
		}
	}
	return list
}

// drainTime is how long clients get to take the last answers, once no server has work any more.
const drainTime = 10 * time.Second

// endStream ends streams of gRPC's own services with the host: a watch of its health, and reflection, have no end of their own.
func (h *host) endStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, "/grpc.") {
		return handler(server, stream)
	}
	ended := make(chan error, 1)
	go func() { ended <- handler(server, stream) }()
	select {
	case err := <-ended:
		return err
	case <-h.closing.Done():
		return status.Error(codes.Unavailable, "the server is stopping")
	}
}

// stopListening frees the address. Connections that are there stay.
func (h *host) stopListening() {
	h.end()
	_ = h.listener.Close() // it can only say that it is closed
}

// close ends the host, which does not listen any more. Unless ctx ends first, clients get some
// time to take the last answers.
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
		h.listener.closeConns()
		h.grpc.Stop() // and GracefulStop returns when the last method does, which may be never
	}
	h.serving.Wait()
}

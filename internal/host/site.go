package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/internal/service"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// site is a listener with its gRPC server, which all servers of a process share. It exists from the
// start of the first server to the stop of the last. The host's lock guards it.
type site struct {
	bootID   string
	addr     string // advertised
	zone     string
	listener *connListener
	grpc     *grpc.Server
	services *service.Services
	health   healths
	intake   *intake.Intake
	budget   *limits.Budget
	log      *slog.Logger // limited in its rate, for events that may repeat
	serving  sync.WaitGroup
	nextID   int
	runs     []*run
	// closing ends with stopListening. Streams that would never end by themselves then end.
	closing context.Context //nolint:containedctx // It is the site's own.
	end     context.CancelFunc
}

const (
	// maxIdle is how long the gRPC server keeps a connection without RPCs.
	maxIdle = 15 * time.Minute
	// pingTime is how long a client may be silent before the server pings it, and how long it then
	// has to answer.
	pingTime = 20 * time.Second
	// headerSlack is how much larger than Limits.HeaderSize the headers of an RPC may be, in bytes,
	// for the headers that gRPC and this library add.
	headerSlack = 8 << 10
)

// streamWorkers is how many goroutines gRPC keeps ready for RPCs.
var streamWorkers = uint32(2 * runtime.GOMAXPROCS(0))

func newSite(ctx context.Context, c *Config) (*site, error) {
	secure, err := c.Trust.Server()
	if err != nil {
		return nil, err
	}
	guard, err := gate.New(c.Trust.Policy(), c.Log)
	if err != nil {
		return nil, err
	}
	listener, addr, err := c.listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &site{bootID: newBootID(), addr: addr, zone: c.Zone, health: newHealths(c.Exchange), log: lograte.New(c.Log)}
	bounds := c.callerLimits()
	s.budget = limits.New(bounds, c.Log)
	s.listener = trackConns(listener, bounds.Connections, func(addr string) { s.budget.Refused(limits.Connections, "address "+addr) })
	var forward intake.Forwarder
	if c.Gateway != nil {
		forward = c.Gateway
	}
	s.intake = intake.New(intake.Config{
		BootID: s.bootID, Forward: forward, Gateways: c.Trust.Gateways(), Exchange: c.Exchange, MaxSize: c.Limits.MessageSize, CallTime: c.Limits.CallTime, Interceptors: c.Interceptors, Log: c.Log, Gate: guard,
		Discreet: c.Trust.Hidden().Failures,
		Refusals: s.budget.Refusals,
	})
	if c.Gateway != nil {
		c.Gateway.Open(s.intake)
	}
	s.closing, s.end = context.WithCancel(context.Background())
	s.serving.Go(func() { guard.Watch(s.closing) })
	s.open(c, secure) //nolint:contextcheck // Each message comes with its own.
	return s, nil
}

func newBootID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // according to its documentation, it never fails
	return hex.EncodeToString(b[:])
}

// open makes the gRPC server, with the services of the contract, health and, unless it is hidden,
// reflection.
func (s *site) open(c *Config, secure credentials.TransportCredentials) {
	hidden := c.Trust.Hidden()
	described := []service.Option{service.WithGrace(c.Limits.SessionGrace), service.InZone(s.zone)}
	if hidden.Introspection {
		described = append(described, service.WithoutInfo())
	}
	if c.Gateway != nil {
		described = append(described, service.WithGateway(c.Gateway.Attach))
	}
	services := service.New(s.intake, described...)
	s.services = services
	tokens := inbound.NewTokens(c.Trust.Config().Tokens, c.Log)
	idle := maxIdle
	if _, attached := c.attacher(); attached {
		idle = 0 // no limit, because a gateway cannot connect to the process again
	}
	options := append([]grpc.ServerOption{
		grpc.Creds(inbound.Credentials(secure, c.Log, tokens, s.budget)),
		grpc.InTapHandle(tokens.Tap),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: connection.MinPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle, Time: pingTime, Timeout: pingTime}),
		grpc.ChainStreamInterceptor(s.endStream),
		grpc.MaxRecvMsgSize(c.Limits.MessageSize + connection.SizeSlack),
		grpc.MaxSendMsgSize(c.Limits.MessageSize + connection.SizeSlack),
		grpc.MaxHeaderListSize(uint32(c.Limits.HeaderSize + headerSlack)), //nolint:gosec // It is positive, and small.
		grpc.MaxConcurrentStreams(uint32(c.Limits.Streams)),               //nolint:gosec // It is positive.
		grpc.ConnectionTimeout(c.Limits.Handshake),
		grpc.StaticStreamWindowSize(inbound.StreamWindow),
		grpc.StaticConnWindowSize(inbound.ConnWindow),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.UnknownServiceHandler(services.Unknown),
	}, c.Options...)
	s.grpc = grpc.NewServer(options...)
	services.Register(s.grpc, len(c.Options) > 0)
	plain := services.Plain(s.grpc)
	healthpb.RegisterHealthServer(plain, s.health.server)
	if !hidden.Reflection {
		offered := reflection.ServerOptions{Services: service.Offered{Services: services, Server: s.grpc}}
		reflectionv1.RegisterServerReflectionServer(plain, reflection.NewServerV1(offered))
		reflectionv1alpha.RegisterServerReflectionServer(plain, reflection.NewServer(offered))
	}
	if c.Gateway == nil { // a gateway forwards messages for typed services, even for those linked into it
		services.RegisterTyped(s.grpc)
	}
}

// serve accepts connections in the background, until stopListening.
func (s *site) serve(log *slog.Logger) {
	s.serving.Go(func() {
		if err := s.grpc.Serve(s.listener); err != nil && s.closing.Err() == nil {
			log.Error("gRPC server ended", "address", s.addr, "error", err)
		}
	})
}

// add adds a server that is ready for messages, and completes its instance.
func (s *site) add(r *run) {
	s.nextID++
	i := &r.intake.Instance
	i.ID, i.BootID, i.Addr = s.bootID+"."+strconv.Itoa(s.nextID), s.bootID, s.addr
	i.Sessions, i.Zone = s.services.TakesSessions(), s.zone
	r.phase.Open(r.config.Hold)
	s.runs = append(s.runs, r)
	s.refresh()
}

// find returns the run of a server, nil if the server is not at this site.
func (s *site) find(server *Server) *run {
	for _, r := range s.runs {
		if r.server == server {
			return r
		}
	}
	return nil
}

// remove removes a server.
func (s *site) remove(r *run) {
	s.runs = slices.DeleteFunc(s.runs, func(other *run) bool { return other == r })
	s.refresh()
}

// refresh updates the intake and the health from the servers and their phases.
func (s *site) refresh() {
	list := make([]*intake.Server, len(s.runs))
	for i, r := range s.runs {
		list[i] = &r.intake
	}
	s.intake.SetServers(list)
	s.health.follow(s.runs)
}

// announced returns the instances to announce.
func (s *site) announced() []rpc.Instance {
	var list []rpc.Instance
	for _, r := range s.runs {
		if r.phase.Phase().IsAnnounced() {
			list = append(list, r.instance())
		}
	}
	return list
}

// drainTime is how long clients have to read the last answers after the last server has stopped.
const drainTime = 10 * time.Second

// endStream is an interceptor that ends the streams of gRPC's own services when the site closes.
// Watches of the health and streams of reflection would otherwise never end.
func (s *site) endStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, "/grpc.") {
		return handler(server, stream)
	}
	ended := make(chan error, 1)
	go func() { ended <- handler(server, stream) }()
	select {
	case err := <-ended:
		return err
	case <-s.closing.Done():
		return status.Error(codes.Unavailable, "the server is stopping")
	}
}

// stopListening frees the address. Open connections stay.
func (s *site) stopListening() {
	s.end()
	_ = s.listener.Close() // its only error is that it is already closed
}

// close ends the site after stopListening. Clients have up to drainTime to read the last answers,
// unless ctx ends first.
func (s *site) close(ctx context.Context) {
	s.health.server.Shutdown()
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	drained := make(chan struct{})
	s.services.EndSessions()
	go func() {
		s.grpc.GracefulStop()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		s.listener.closeConns()
		s.grpc.Stop() // do not wait for GracefulStop: it returns only when the last method has, if ever
	}
	s.serving.Wait()
}

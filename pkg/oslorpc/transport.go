package oslorpc

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/carrier/session"
	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/connect"
	gateways "github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/internal/errtype"
	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/host"
	"github.com/oslorpc/oslorpc/internal/inprocess"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Transport is a program's way to other programs: how they find each other, and how they are
// connected. A program has one, or one for each fleet that it belongs to. It is safe for concurrent
// use.
//
// All clients of a transport share one connection to each remote process, and all servers one
// listener.
type Transport struct {
	config   config
	registry registry.Registry
	clients  *client.Transport
	host     *host.Host
	closed   atomic.Bool

	// released is closed when everything but the servers is released, too. ReleaseCtx ends when a
	// caller no longer waits for that.
	releasing    sync.Once
	released     chan struct{}
	releaseCtx   context.Context //nolint:containedctx // The release is not one caller's.
	forceRelease context.CancelCauseFunc
}

// config is what the options of a transport set.
type config struct {
	exchange      string
	zone          string
	carries       rpc.Carrier // small messages
	caller        string
	listen        string
	advertise     string
	trust         trust.Config
	security      *security.Trust // what trust names, loaded
	limits        rpc.Limits
	stopGrace     time.Duration
	stopTimeout   time.Duration
	log           *slog.Logger
	errors        errtype.Registry
	interceptors  []Interceptor
	serverOptions []grpc.ServerOption
	dialOptions   []grpc.DialOption
	process       *inprocess.Process // nil but in tests
	gateway       *gateway.Gateway   // nil but in gateways
	behind        bool               // everything is reached through gateways
}

// defaultStopGrace gives the other processes time to learn that a server leaves, before it refuses
// messages.
const defaultStopGrace = 500 * time.Millisecond

// TransportOption sets up a transport.
type TransportOption interface{ applyTransport(*config) }

type transportOption func(*config)

func (o transportOption) applyTransport(c *config) { o(c) }

// WithDefaultExchange sets the exchange of targets that name none. The transport URL's parameter
// exchange overrides it. An empty name, as without this option, leaves the choice to the
// environment variable [ExchangeVariable], and else it is [rpc.DefaultExchange]. (control_exchange
// upstream.)
func WithDefaultExchange(exchange string) TransportOption {
	return transportOption(func(c *config) { c.exchange = exchange })
}

// WithCarrier sets what carries the small calls and casts of the transport's clients; see
// [rpc.Carrier]. The transport URL's parameter carrier overrides it. An empty one, as without this
// option, leaves the choice to the environment variable OSLORPC_CARRIER, and else it is
// [rpc.CarrierAuto]. Every carrier keeps the same promises. A session costs about half of an RPC
// for each message, and the client learns the outcome of messages whose connection was lost.
func WithCarrier(carrier rpc.Carrier) TransportOption {
	return transportOption(func(c *config) { c.carries = carrier })
}

// WithZone says where the program runs, such as in an availability zone. Its servers announce the
// zone, and its clients prefer the servers of their own zone: a message for any server goes to
// another zone only if no server in this one can take it, because none is there, is reachable, has
// room, or implements the version. Messages for a named server and for all servers do not depend on
// zones.
//
// The transport URL's parameter zone overrides it. An empty zone, as without this option, leaves
// the choice to the environment variable [ZoneVariable]. Without any, a client uses all servers
// alike.
func WithZone(zone string) TransportOption {
	return transportOption(func(c *config) { c.zone = zone })
}

// WithListen sets where the transport's servers listen: "host:port", "host:first-last" for the
// first free port of a range, or "unix:/path". Port 0 is any free port. An address that other
// machines can reach needs [WithTrust].
//
// Empty, as without this option, is a Unix socket in the private directory of local://, so that
// other users of the machine cannot connect. With other registries, with TLS and with
// [WithAdvertise] it is 127.0.0.1:0.
func WithListen(address string) TransportOption {
	return transportOption(func(c *config) { c.listen = address })
}

// WithAdvertise sets the address that others connect to, if it is not the one listened on, as
// behind a NAT: "host:port", or a host alone, which gets the port listened on. An IPv6 address is
// written in brackets, with a port and without. [Open] refuses what others cannot connect to, such
// as port 0, a range of ports, a URL or 0.0.0.0, with an error of kind [Invalid].
func WithAdvertise(address string) TransportOption {
	return transportOption(func(c *config) { c.advertise = address })
}

// WithTrust sets how the clients and servers of the transport prove who they are and whom they
// trust; see [trust.Config]. Without it connections are in clear, and other machines cannot be
// reached.
func WithTrust(c trust.Config) TransportOption {
	return transportOption(func(o *config) { o.trust = c })
}

// WithLimits bounds what the transport takes from its peers, and what it sends them. Fields that
// are zero have their defaults, as without the option. [Open] refuses a limit that is negative.
func WithLimits(l rpc.Limits) TransportOption {
	return transportOption(func(c *config) { c.limits = l })
}

// WithStopGrace sets how long a server that stops goes on accepting, after it withdrew its
// registration, so that others learn that it leaves before it refuses. Messages that it refuses go
// elsewhere; the grace avoids that detour. The default is half a second.
func WithStopGrace(d time.Duration) TransportOption {
	return transportOption(func(c *config) { c.stopGrace = d })
}

// DefaultStopTimeout is how long [Server.Run] waits for a server that stops. Kubernetes kills a
// container 30 seconds after it told it to stop, unless told otherwise.
const DefaultStopTimeout = 25 * time.Second

// WithStopTimeout bounds the stops that no ctx bounds: by [Server.Run] when its ctx ends, and by a
// method that stops its own server or transport. After that time the contexts of the methods that
// still run end, with a cause; after two more seconds the stop is over even if they run on, and is
// an error. The default is [DefaultStopTimeout]. Zero or less is no bound: the stop takes as long
// as the methods do.
func WithStopTimeout(d time.Duration) TransportOption {
	return transportOption(func(c *config) { c.stopTimeout = d })
}

// WithLogger sets where the transport logs; the default is slog.Default. gRPC itself has one logger
// for the whole program, which writes errors to standard error: a program that wants them elsewhere
// calls grpclog.SetLoggerV2 before it opens a transport.
func WithLogger(log *slog.Logger) TransportOption {
	return transportOption(func(c *config) { c.log = log })
}

// WithServerOptions adds options to the transport's gRPC server, such as interceptors of gRPC. They
// come after our own, and apply to messages that gRPC carries. [WithInterceptors] applies to every
// message.
func WithServerOptions(options ...grpc.ServerOption) TransportOption {
	return transportOption(func(c *config) { c.serverOptions = append(c.serverOptions, options...) })
}

// WithDialOptions adds options to the transport's gRPC connections, such as interceptors; they come
// after our own. Options that retry would break the promise that a message runs at most once.
func WithDialOptions(options ...grpc.DialOption) TransportOption {
	return transportOption(func(c *config) { c.dialOptions = append(c.dialOptions, options...) })
}

// Open returns the transport for a URL, which says how programs find each other:
//
//	local://                    the programs of one user on one machine; needs no daemon
//	local:///dir                the same, by way of this directory
//	consul://host:8500?dc=…     by way of the Consul agent there, or one of several: h1:8500,h2:8500
//	gateway://host:8600         by way of the gateway there, or one of several: g1:8600,g2:8600
//	static://topic=host:port,…  at fixed addresses
//	memory://name               within this process, for tests
//
// A program that uses consul:// imports package registry/consul for it. Package registry says how
// to add a registry of another kind.
//
// An empty URL stands for the environment variable [TransportURLVariable], or else for local://.
// With ?exchange=NAME, which every scheme takes, the URL sets the default exchange, and with
// ?zone=NAME the zone; see [WithZone].
//
// It connects to nothing yet. Close the transport after use.
func Open(url string, options ...TransportOption) (*Transport, error) {
	c := config{
		stopGrace: defaultStopGrace, stopTimeout: DefaultStopTimeout, log: slog.Default(),
	}
	for _, o := range options {
		c.apply(o)
	}
	url, parameters, err := cutCommon(orEnvironment(url))
	if err != nil {
		return nil, err
	}
	if err := c.setPlace(parameters); err != nil {
		return nil, err
	}
	if err := c.setCarrier(parameters[carrierParameter]); err != nil {
		return nil, err
	}
	if err := c.setXDS(url); err != nil {
		return nil, err
	}
	if err := c.setCaller(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.errors.Log = lograte.New(c.log)
	known, err := registry.Open(url, registry.Config{Exchange: c.exchange, Log: c.log})
	if err != nil {
		return nil, err
	}
	if err := c.setTrust(parameters, connect.Of(known)); err != nil {
		_ = known.Close(unbounded) // it has published nothing
		return nil, err
	}
	if behind, ok := known.(*gateways.Registry); ok {
		c.behind = true
		behind.Use(c.connection)
	}
	if c.process != nil {
		known = c.process.Registry(known)
	}
	return c.transport(known), nil
}

// transport returns the transport that uses a registry.
func (c *config) transport(known registry.Registry) *Transport {
	t := &Transport{config: *c, registry: known, released: make(chan struct{})}
	t.releaseCtx, t.forceRelease = context.WithCancelCause(context.Background())
	seen, carrier := known, c.carrier()
	if c.gateway != nil {
		seen = c.gateway.Know(known, c.security.Identity(), c.log)
	}
	t.clients = client.NewTransport(client.Config{
		Registry: seen, Carrier: carrier, Exchange: c.exchange, Caller: c.caller, Zone: c.zone,
		Metadata: header.Outgoing, Interceptors: c.interceptors, Errors: &t.config.errors, Log: c.log,
	})
	t.host = host.New(c.hosting(known, t.listed))
	if c.gateway != nil {
		c.gateway.Bind(t.clients, seen, c.exchange, c.security)
		c.gateway.Connect(carrier, t.host)
	}
	return t
}

// unbounded is the context of what takes no time.
var unbounded = context.Background()

// apply sets what an option says.
func (c *config) apply(o TransportOption) {
	o.applyTransport(c)
	if test, ok := o.(inprocess.Option); ok {
		c.process = test.InProcess()
	}
	if g, ok := o.(gateway.Option); ok {
		c.gateway = g.Gateway()
	}
}

// DefaultExchange returns the exchange of targets that name none.
func (t *Transport) DefaultExchange() string { return t.config.exchange }

// check returns an error if options contradict each other, and completes the others.
func (c *config) check() error {
	hosting := c.hosting(nil, nil)
	if err := hosting.CheckAdvertise(); err != nil {
		return err
	}
	c.limits = c.limits.WithDefaults()
	if name := c.limits.Negative(); name != "" {
		return invalidUse("the limit %s is negative: leave it out for its default", name)
	}
	if c.limits.HeaderSize < grpccarrier.MinHeader {
		return invalidUse("the limit HeaderSize must be at least %d", grpccarrier.MinHeader)
	}
	return c.errors.Check()
}

// hosting returns how the transport's servers are reached.
func (c *config) hosting(known registry.Registry, listed host.Listed) host.Config {
	hosting := host.Config{
		Exchange: c.exchange, Listen: c.listen, Advertise: c.advertise, Zone: c.zone, Trust: c.security,
		Limits: c.limits, StopGrace: c.stopGrace, StopTimeout: c.stopTimeout, Interceptors: c.interceptors, Describe: c.describe(),
		Options: c.serverOptions, Log: c.log, Registry: known, Listed: listed, Test: c.process,
	}
	if c.gateway != nil {
		hosting.Gateway = c.gateway
	}
	return hosting
}

// listed returns the ids of the instances in the view of a topic; see [host.Listed].
func (t *Transport) listed(ctx context.Context, topic registry.Topic) (ids []string, changed <-chan struct{}, err error) {
	view, changed, err := t.clients.Topic(topic).View(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range view.Entries() {
		ids = append(ids, e.ID)
	}
	return ids, changed, nil
}

// carrier returns what carries messages to others.
func (c *config) carrier() carrier.Carrier {
	unary := grpccarrier.New(c.connecting())
	if c.carries == rpc.CarrierUnary || c.carries == rpc.CarrierRouted {
		return unary
	}
	always := c.carries == rpc.CarrierSession
	return session.New(unary, session.Config{Always: always, Eager: always})
}

// connecting has what connects to others.
func (c *config) connecting() grpccarrier.Config {
	config := grpccarrier.Config{
		Peers: peer.Config{
			Credentials: c.security.Client(), Identity: c.security.Identity(), Token: c.security.Token(), Log: c.log, Options: c.dialOptions,
		},
		Caller:  c.caller,
		Routing: c.carries == rpc.CarrierRouted,
		MaxSize: c.limits.MessageSize, MaxHeader: c.limits.HeaderSize,
	}
	if c.behind { // the gateways check the servers
		config.Peers.Identity, config.Explicit = nil, true
	}
	switch {
	case c.process != nil:
		config.Peers.Dial = c.process.Dial
	case c.gateway != nil:
		config.Peers.Dial = c.gateway.Dial
	}
	return config
}

// connection returns a connection to a gateway.
func (c *config) connection(addr string) (*grpc.ClientConn, error) {
	config := c.connecting()
	config.Peers.Options = append([]grpc.DialOption{grpc.WithUserAgent(c.caller)}, config.Peers.Options...)
	return config.Peers.Connection(addr)
}

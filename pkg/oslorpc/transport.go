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
	"github.com/oslorpc/oslorpc/internal/discovery"
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

// Transport connects a program to other programs. It owns the connection to discovery and the
// connections to other processes. A program has one transport, or one for each fleet that it
// belongs to. It is safe for concurrent use.
//
// All clients of a transport share one connection to each remote process. All its servers share one
// listener.
type Transport struct {
	config   config
	registry registry.Registry
	clients  *client.Transport
	host     *host.Host
	closed   atomic.Bool

	// released is closed when connections and registry are closed, too. ReleaseCtx ends when the
	// first caller stops waiting for the release.
	releasing    sync.Once
	released     chan struct{}
	releaseCtx   context.Context //nolint:containedctx // The release is not one caller's.
	forceRelease context.CancelCauseFunc
}

// config is what the options of a transport set.
type config struct {
	exchange      string
	zone          string
	carries       rpc.Carrier // the carrier of small messages
	caller        string
	listen        string
	advertise     string
	trust         trust.Config
	security      *security.Trust // loaded from trust
	limits        rpc.Limits
	stopGrace     time.Duration
	stopTimeout   time.Duration
	log           *slog.Logger
	errors        errtype.Registry
	interceptors  []Interceptor
	serverOptions []grpc.ServerOption
	dialOptions   []grpc.DialOption
	process       *inprocess.Process // nil except in tests
	gateway       *gateway.Gateway   // nil except in gateways
	behind        bool               // everything is reached through gateways
}

// defaultStopGrace gives other processes time to learn that a server leaves, before the server
// refuses messages.
const defaultStopGrace = 500 * time.Millisecond

// TransportOption sets up a transport.
type TransportOption interface{ applyTransport(*config) }

type transportOption func(*config)

func (o transportOption) applyTransport(c *config) { o(c) }

// WithDefaultExchange sets the exchange of targets that name none. The transport URL's parameter
// exchange overrides it. If neither gives a name, the environment variable [ExchangeVariable]
// applies, and then [rpc.DefaultExchange]. (Upstream: control_exchange.)
func WithDefaultExchange(exchange string) TransportOption {
	return transportOption(func(c *config) { c.exchange = exchange })
}

// WithCarrier sets how small calls and casts of the transport's clients travel; see [rpc.Carrier].
// The transport URL's parameter carrier overrides it. If neither gives a carrier, the environment
// variable OSLORPC_CARRIER applies, and then [rpc.CarrierAuto]. The delivery guarantees are the
// same with every carrier. A session costs about half as much per message as an RPC, and lets the
// client learn the outcome of messages whose connection was lost.
func WithCarrier(carrier rpc.Carrier) TransportOption {
	return transportOption(func(c *config) { c.carries = carrier })
}

// WithZone says where the program runs, such as an availability zone. Its servers announce the
// zone, and its clients prefer the servers of their own zone. A message for any server goes to
// another zone only if no server in this zone can accept it, because none is registered, is
// reachable, has room, or implements the version. Messages for a named server and for all servers
// do not depend on zones.
//
// The transport URL's parameter zone overrides it. If neither gives a zone, the environment
// variable [ZoneVariable] applies. Without a zone, a client uses all servers alike.
func WithZone(zone string) TransportOption {
	return transportOption(func(c *config) { c.zone = zone })
}

// WithListen sets where the transport's servers listen: "host:port", "host:first-last" for the
// first free port of a range, or "unix:/path". Port 0 is any free port. An address that other
// machines can reach needs [WithTrust].
//
// The default, also for an empty address, depends on the transport. With local://, it is a Unix
// socket in the private directory of local://, so that other users of the machine cannot connect.
// With other registries, with TLS, or with [WithAdvertise], it is 127.0.0.1:0.
func WithListen(address string) TransportOption {
	return transportOption(func(c *config) { c.listen = address })
}

// WithAdvertise sets the address that others connect to, if it differs from the address listened
// on, as behind a NAT. It is "host:port", or a host alone, which gets the port listened on. An IPv6
// address is in brackets, with and without a port. [Open] refuses an address that others cannot
// connect to, such as port 0, a range of ports, a URL or 0.0.0.0, with an error of kind [Invalid].
func WithAdvertise(address string) TransportOption {
	return transportOption(func(c *config) { c.advertise = address })
}

// WithTrust sets how the clients and servers of the transport prove their identity and which peers
// they trust; see [trust.Config]. Without it, connections are not encrypted, and other machines
// cannot be reached.
func WithTrust(c trust.Config) TransportOption {
	return transportOption(func(o *config) { o.trust = c })
}

// WithLimits bounds what the transport accepts from its peers, and what it sends to them. A zero
// field means its default. [Open] refuses a negative limit.
func WithLimits(l rpc.Limits) TransportOption {
	return transportOption(func(c *config) { c.limits = l })
}

// WithStopGrace sets how long a stopping server goes on accepting messages after it withdrew its
// registration. Meanwhile, clients learn that it leaves. A refused message goes to another server;
// the grace avoids that detour. The default is half a second.
func WithStopGrace(d time.Duration) TransportOption {
	return transportOption(func(c *config) { c.stopGrace = d })
}

// DefaultStopTimeout is how long [Server.Run] waits for a stopping server. It is below Kubernetes'
// default: Kubernetes kills a container 30 seconds after it sent the signal to stop.
const DefaultStopTimeout = 25 * time.Second

// WithStopTimeout bounds the stops that no ctx bounds: when the ctx of [Server.Run] ends, and when
// a method stops its own server or transport. After that time, the contexts of the methods that
// still run end, with a cause. After two more seconds, the stop is over and fails, even if methods
// still run. The default is [DefaultStopTimeout]. Zero or less sets no bound: the stop takes as
// long as the methods do.
func WithStopTimeout(d time.Duration) TransportOption {
	return transportOption(func(c *config) { c.stopTimeout = d })
}

// WithLogger sets where the transport logs. The default is slog.Default. gRPC itself has one logger
// for the whole program, which writes errors to standard error. To redirect it, call
// grpclog.SetLoggerV2 before opening a transport.
func WithLogger(log *slog.Logger) TransportOption {
	return transportOption(func(c *config) { c.log = log })
}

// WithServerOptions adds options to the transport's gRPC server, such as interceptors of gRPC. They
// come after the library's own, and apply only to messages that gRPC carries. [WithInterceptors]
// applies to every message.
func WithServerOptions(options ...grpc.ServerOption) TransportOption {
	return transportOption(func(c *config) { c.serverOptions = append(c.serverOptions, options...) })
}

// WithDialOptions adds options to the transport's gRPC connections, such as interceptors. They come
// after the library's own. Do not pass options that retry: a message could then run more than once.
func WithDialOptions(options ...grpc.DialOption) TransportOption {
	return transportOption(func(c *config) { c.dialOptions = append(c.dialOptions, options...) })
}

// Open returns the transport for a URL, which says how programs find each other:
//
//	local://                    the programs of one user on one machine; needs no daemon
//	local:///dir                the same, for programs that use this directory
//	consul://host:8500?dc=…     through the Consul agent at this address, or one of several: h1:8500,h2:8500
//	gateway://host:8600         through the gateway at this address, or one of several: g1:8600,g2:8600
//	static://topic=host:port,…  at fixed addresses
//	memory://name               within this process, for tests
//
// A program that uses consul:// must import package registry/consul. Package registry says how to
// add another kind of registry.
//
// An empty URL stands for the environment variable [TransportURLVariable], and if that is empty,
// for local://. Every scheme accepts the parameters exchange and zone: ?exchange=NAME sets the
// default exchange, and ?zone=NAME the zone; see [WithZone].
//
// Open does not connect to anything yet. Close the transport after use.
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
	seen, carrier := known, c.carrier(known)
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

// unbounded is the context for operations that cannot block.
var unbounded = context.Background()

// apply applies an option.
func (c *config) apply(o TransportOption) {
	o.applyTransport(c)
	if test, ok := o.(inprocess.Option); ok {
		c.process = test.InProcess()
	}
	if g, ok := o.(gateway.Option); ok {
		c.gateway = g.Gateway()
	}
}

// String describes where the transport looks for servers, such as "Consul at 127.0.0.1:8500".
func (t *Transport) String() string { return discovery.Name(t.registry) }

// DefaultExchange returns the exchange of targets that name none.
func (t *Transport) DefaultExchange() string { return t.config.exchange }

// check returns an error for invalid options, and sets defaults for options that are not set.
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

// hosting returns the configuration of the host of the transport's servers.
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

// carrier returns the carrier of the transport's messages.
func (c *config) carrier(known registry.Registry) carrier.Carrier {
	connecting := c.connecting()
	if r, ok := known.(discovery.Expirer); ok {
		connecting.Peers.Expiry = r.Expiry()
	}
	unary := grpccarrier.New(connecting)
	if c.carries == rpc.CarrierUnary || c.carries == rpc.CarrierRouted {
		return unary
	}
	always := c.carries == rpc.CarrierSession
	return session.New(unary, session.Config{Always: always, Eager: always})
}

// connecting returns the configuration of the connections to other processes.
func (c *config) connecting() grpccarrier.Config {
	config := grpccarrier.Config{
		Peers: peer.Config{
			Credentials: c.security.Client(), Identity: c.security.Reached(), Token: c.security.Token(), Log: c.log, Options: c.dialOptions,
		},
		Caller:  c.caller,
		Routing: c.carries == rpc.CarrierRouted,
		MaxSize: c.limits.MessageSize, MaxHeader: c.limits.HeaderSize,
	}
	if c.behind { // the gateways check the servers
		config.Peers.Credentials, config.Peers.Identity, config.Explicit = c.security.ClientOfGateways(), nil, true
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
func (c *config) connection(addr string) (gateways.Conn, error) {
	config := c.connecting()
	config.Peers.Options = append([]grpc.DialOption{grpc.WithUserAgent(c.caller)}, config.Peers.Options...)
	return config.Peers.Connection(addr)
}

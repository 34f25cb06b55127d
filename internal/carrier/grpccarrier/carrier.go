// Package grpccarrier is the carrier that sends each message with one gRPC call: a unary one, or a
// streaming one for messages with several parts. When a message fails, the package decides from
// gRPC's behaviour whether the message was sent.
package grpccarrier

import (
	"math"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/peer"
)

// Config is the configuration of a carrier.
type Config struct {
	// Peers configures the connections. Its Options are the program's own; they come after ours.
	Peers peer.Config
	// Caller is the name that the program gives itself, empty for none.
	Caller string
	// MaxSize bounds the arguments plus the request context of a message, and each result, in
	// bytes; 0 for no bound.
	MaxSize int
	// Routing repeats the server and the version of each message in headers, for proxies that route
	// by headers. Messages are then not sent in sessions.
	Routing bool
	// Explicit adds the topic of the instance to typed messages. Only messages to gateways need it,
	// because a gateway may not know the instance.
	Explicit bool
	// MaxHeader bounds the headers of a message, in bytes; 0 for no bound.
	MaxHeader int
}

const (
	// MinHeader is the lowest useful value of MaxHeader.
	MinHeader = 2 * headerShare
	// headerShare is the part of the headers that the library and gRPC use.
	headerShare = 1 << 10
)

// Carrier sends messages over gRPC. It is safe for concurrent use.
type Carrier struct {
	pool   *peer.Pool
	config Config
	// intercepted is true if options of the program may stand between us and gRPC.
	intercepted bool
	// limit bounds received messages. TypedLimit does so for typed messages, which have no
	// envelope.
	limit, typedLimit grpc.CallOption
	closed            atomic.Bool
}

var (
	_ carrier.Carrier = (*Carrier)(nil)
	_ carrier.Link    = Link{}
)

// New returns a carrier. It connects to nothing yet.
func New(config Config) *Carrier {
	if config.MaxSize == 0 {
		config.MaxSize = math.MaxInt32 - connection.SizeSlack
	}
	if config.MaxHeader == 0 {
		config.MaxHeader = math.MaxInt32
	}
	c := &Carrier{
		config: config, intercepted: len(config.Peers.Options) > 0,
		limit: grpc.MaxCallRecvMsgSize(config.MaxSize + connection.SizeSlack), typedLimit: grpc.MaxCallRecvMsgSize(config.MaxSize),
	}
	peers := config.Peers
	peers.Options = c.dialOptions()
	c.pool = peer.NewPool(peers)
	return c
}

// dialOptions returns the options of connections.
func (c *Carrier) dialOptions() []grpc.DialOption {
	var options []grpc.DialOption
	if c.config.Caller != "" {
		options = append(options, grpc.WithUserAgent(c.config.Caller))
	}
	if !c.intercepted {
		return options
	}
	options = append(options, grpc.WithDefaultCallOptions(c.limit))
	options = append(options, c.config.Peers.Options...)
	return append(append(options, grpc.WithDefaultCallOptions(neverWait)), witnesses()...)
}

// Get implements [carrier.Carrier].
func (c *Carrier) Get(key carrier.Key) carrier.Link { return Link{c.pool.Get(key), c} }

// Put implements [carrier.Carrier].
func (c *Carrier) Put(link carrier.Link) { c.pool.Put(link.(Link).Peer) }

// Renew implements [carrier.Carrier].
func (c *Carrier) Renew(link carrier.Link) carrier.Link {
	return Link{c.pool.Renew(link.(Link).Peer), c}
}

// BecameReady implements [carrier.Carrier].
func (c *Carrier) BecameReady() <-chan struct{} { return c.pool.BecameReady() }

// Close implements [carrier.Carrier].
func (c *Carrier) Close() {
	c.closed.Store(true)
	c.pool.Close()
}

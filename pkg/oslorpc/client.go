package oslorpc

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The budgets of operations that are given neither a deadline by their ctx nor a [WithTimeout].
const (
	// DefaultCallTimeout is oslo.messaging's rpc_response_timeout.
	DefaultCallTimeout = 60 * time.Second
	// DefaultCastTimeout is how long a cast or a fanout looks for somebody to accept it.
	DefaultCastTimeout = 30 * time.Second
)

// Client sends messages to a target. It is immutable and safe for concurrent use; [Client.Prepare] makes another with changes. Mistakes
// in its target or options are returned by each of its operations.
type Client struct {
	transport *Transport
	settings  settings
	turn      *atomic.Uint64 // shared with prepared clients that send to the same servers, so that they take part in one round robin
	topic     atomic.Pointer[fleet.Topic]
	services  sync.Map // *typed.Service -> *Client, for the typed services that it was used for
}

// settings are what Prepare can change, and what is computed from it once.
type settings struct {
	target     Target
	capText    string
	aliases    map[string]string
	timeout    time.Duration
	hasTimeout bool
	retry      int // as WithRetry; negative: until the deadline
	failFast   bool
	serializer Serializer // nil for none
	backoff    *Backoff   // nil for none
	lossyCasts bool
	monitor    time.Duration // as WithCallMonitorTimeout
	orderKey   string        // as WithOrderKey

	cap   rpc.Cap
	query route.Query
	wire  *pb.Target
	err   error
}

// ClientOption changes what a client sends and how.
type ClientOption interface{ applyClient(*settings) }

type clientOption func(*settings)

func (o clientOption) applyClient(s *settings) { o(s) }

// None is given to an option that takes a name or a version to mean "none, whatever was set before".
const None = ""

// WithTopic sends to another topic.
func WithTopic(topic string) ClientOption {
	return clientOption(func(s *settings) { s.target.Topic = topic })
}

// WithExchange sends within another exchange; [None] is the transport's default exchange.
func WithExchange(exchange string) ClientOption {
	return clientOption(func(s *settings) { s.target.Exchange = exchange })
}

// WithNamespace asks for another interface; [None] is the null namespace.
func WithNamespace(namespace string) ClientOption {
	return clientOption(func(s *settings) { s.target.Namespace = namespace })
}

// WithVersion asks for a server that implements at least this version; [None] counts as 1.0.
func WithVersion(version string) ClientOption {
	return clientOption(func(s *settings) { s.target.Version = version })
}

// WithServer sends to the server of this name; [None] is any server.
func WithServer(server string) ClientOption {
	return clientOption(func(s *settings) { s.target.Server = server })
}

// WithFanout makes casts go to every server on the topic, or not. A call cannot fan out. For a report of what
// came of it, use [Client.Fanout], which needs no option.
func WithFanout(fanout bool) ClientOption {
	return clientOption(func(s *settings) { s.target.Fanout = fanout })
}

// WithTimeout bounds each operation: a call from discovery to the reply, a cast or a fanout until it is accepted, a multicall
// for each wait for an item. The deadline of ctx holds as well, and the earlier one counts. 0 expires at once, as
// upstream.
func WithTimeout(d time.Duration) ClientOption {
	return clientOption(func(s *settings) { s.timeout, s.hasTimeout = d, true })
}

// WithDefaultTimeout undoes [WithTimeout]: the bound is the deadline of ctx, or if it has none [DefaultCallTimeout] for calls and items
// of a multicall, and [DefaultCastTimeout] for casts and fanouts.
func WithDefaultTimeout() ClientOption {
	return clientOption(func(s *settings) { s.timeout, s.hasTimeout = 0, false })
}

// WithRetry bounds how often a message that nobody took is offered again: n times to all servers that it may go to, after
// the first time. 0 does not wait for anybody; a negative n, the default, goes on until the deadline. It never makes
// a message run twice.
func WithRetry(n int) ClientOption {
	return clientOption(func(s *settings) { s.retry = n })
}

// WithFailFast makes a message fail at once when no server is there to take it, when none can be
// connected to, or when discovery cannot be read and nothing is known yet, instead of waiting
// until the deadline. It waits three seconds at most for the first answer of discovery. (The
// option at_least_once upstream.) Unlike WithRetry(0), it still waits for servers that are full.
func WithFailFast(failFast bool) ClientOption {
	return clientOption(func(s *settings) { s.failFast = failFast })
}

// WithLossyCasts makes Cast succeed when no server took the message, as casts do with a broker: [NoInstance], [Refused] and
// [Unreachable] are logged, and nil is returned. It is for programs that could do nothing about it, since the message is lost.
func WithLossyCasts(lossy bool) ClientOption {
	return clientOption(func(s *settings) { s.lossyCasts = lossy })
}

// WithOrderKey makes messages with the same key, of this client and of others, run one after the
// other at a server, in the order in which the server accepted them: the next begins when the
// method of the one before has returned. Casts that are sent one after the other by one goroutine
// are accepted, and so run, in that order. Messages without a key, or with other keys, run at the
// same time.
//
// Each server has an order of its own: name the server, or fan out, if there are several. A
// message that is sent again, since it was refused or its outcome is unknown, comes after the
// messages that were accepted meanwhile. A method must not wait for a message with its own key to
// its own server. A key is text of at most 255 bytes. The default, [None], sets no key.
func WithOrderKey(key string) ClientOption {
	return clientOption(func(s *settings) { s.orderKey = key })
}

// Client returns a client that sends to target.
func (t *Transport) Client(target Target, options ...ClientOption) *Client {
	return newClient(t, settings{target: target, retry: -1}, options)
}

// Prepare returns a client with changes. What no option changes stays as it is, and [None] clears; it costs next to
// nothing, and c is not affected.
func (c *Client) Prepare(options ...ClientOption) *Client {
	prepared := newClient(c.transport, c.settings, options)
	if prepared.settings.sameServers(&c.settings) {
		prepared.turn = c.turn
	}
	return prepared
}

// Target returns who the client sends to.
func (c *Client) Target() Target { return c.settings.target }

func newClient(t *Transport, s settings, options []ClientOption) *Client {
	for _, o := range options {
		o.applyClient(&s)
	}
	s.err = s.compute(t.config.exchange)
	c := &Client{transport: t, settings: s, turn: &atomic.Uint64{}}
	c.turn.Store(rand.Uint64()) // many programs live for one message; they must not all start with the same server
	return c
}

// sameServers reports whether messages go to the same servers. Those that do not have round robins of their own: in a common one,
// every other message would always meet the same server.
func (s *settings) sameServers(t *settings) bool {
	return s.target.Topic == t.target.Topic && s.target.Exchange == t.target.Exchange && s.target.Server == t.target.Server
}

// compute checks the settings and derives what each message needs of them.
func (s *settings) compute(defaultExchange string) error {
	if err := s.target.ValidateClient(); err != nil {
		return err
	}
	if err := rpc.ValidateOrderKey(s.orderKey); err != nil {
		return err
	}
	version, err := rpc.VersionOrDefault(s.target.Version)
	if err != nil {
		return invalidUse("%v", err)
	}
	if s.cap, err = rpc.ParseCap(s.capText, s.aliases); err != nil {
		return invalidUse("%v", err)
	}
	s.query = route.Query{Namespace: s.target.Namespace, Version: version}
	exchange := s.target.Exchange
	if exchange == "" {
		exchange = defaultExchange
	}
	s.wire = &pb.Target{
		Exchange: &exchange, Topic: &s.target.Topic, Namespace: given(s.target.Namespace),
		Version: given(s.target.Version), Server: given(s.target.Server),
	}
	return nil
}

// given returns a field of a message: absent if it is not given.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// watched returns the topic that the client sends to.
func (c *Client) watched() *fleet.Topic {
	if t := c.topic.Load(); t != nil && !t.Closed() {
		return t
	}
	t := c.transport.fleet.Topic(discovery.Topic{Exchange: c.settings.wire.GetExchange(), Name: c.settings.target.Topic})
	c.topic.Store(t)
	if c.settings.cap.IsAuto() {
		t.Follow(route.Interface{Namespace: c.settings.query.Namespace, Major: c.settings.query.Version.Major})
	}
	return t
}

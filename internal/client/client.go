package client

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/deadline"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The timeouts of operations if neither their ctx nor the client sets one.
const (
	// DefaultCallTimeout is the default of oslo.messaging's rpc_response_timeout.
	DefaultCallTimeout = 60 * time.Second
	// DefaultCastTimeout is how long a cast or a fanout looks for servers that accept the message.
	DefaultCastTimeout = 30 * time.Second
	// DefaultAskTimeout is how long a question to the fleet waits for the answer.
	DefaultAskTimeout = 10 * time.Second
)

// Settings are the receiver and the options of a client. Except for Retry, their zero values are
// the defaults.
type Settings struct {
	// Target is the receiver.
	Target rpc.Target
	// Cap is the text of the version cap, and Aliases are the names that it may have.
	Cap     string
	Aliases map[string]string
	// Timeout bounds each operation, if HasTimeout is set.
	Timeout    time.Duration
	HasTimeout bool
	// Retry is how often a message that no server took is offered again. Negative means until the
	// deadline.
	Retry int
	// FailFast messages do not wait for servers to appear.
	FailFast bool
	// LossyCasts succeed when no server took them.
	LossyCasts bool
	// Monitor is how long a call may go without a sign of life. Zero or less means no limit.
	Monitor time.Duration
	// OrderKey makes messages with the same key run one after the other; empty for none.
	OrderKey string
	// Serializer converts between values and their encoded form; nil for none.
	Serializer Serializer
	// Backoff returns the source of the timeouts of calls; nil for none.
	Backoff func() Backoff
}

// Client sends messages to a target. It is immutable and safe for concurrent use.
type Client struct {
	transport *Transport
	settings  Settings

	// These are derived from the settings for each message. Err says what is wrong with the settings.
	cap   rpc.Cap
	query route.Query
	// scope is the target with its exchange, and without fanout.
	scope rpc.Target
	err   error

	// turn is shared by all clients that send to the same servers, so that they use one round robin.
	turn     *atomic.Uint64
	topic    atomic.Pointer[fleet.Topic]
	services sync.Map // *typed.Service -> *Client, for the typed services that it was used for
}

// Client returns a client with these settings. If the settings are invalid, each of its operations
// fails with an error that says so.
func (t *Transport) Client(s Settings) *Client {
	c := &Client{transport: t, settings: s, turn: &atomic.Uint64{}}
	c.turn.Store(rand.Uint64()) // programs that send one message must not all start with the same server
	c.err = c.compute()
	return c
}

// With returns a client with other settings.
func (c *Client) With(s Settings) *Client {
	other := c.transport.Client(s)
	if other.sameServers(c) {
		other.turn = c.turn
	}
	return other
}

// Settings returns the settings of the client.
func (c *Client) Settings() Settings { return c.settings }

// sameServers reports whether the messages of two clients go to the same servers. Clients of
// different servers have separate round robins: in a shared one, every other message could always
// meet the same server.
func (c *Client) sameServers(d *Client) bool {
	a, b := c.settings.Target, d.settings.Target
	return a.Topic == b.Topic && a.Exchange == b.Exchange && a.Server == b.Server
}

// compute checks the settings and derives the values that each message needs.
func (c *Client) compute() error {
	target := c.settings.Target
	if err := target.ValidateClient(); err != nil {
		return err
	}
	if err := rpc.ValidateOrderKey(c.settings.OrderKey); err != nil {
		return err
	}
	version, err := rpc.VersionOrDefault(target.Version)
	if err != nil {
		return failure.Invalid("%v", err)
	}
	if c.cap, err = rpc.ParseCap(c.settings.Cap, c.settings.Aliases); err != nil {
		return failure.Invalid("%v", err)
	}
	c.query = route.Query{Namespace: target.Namespace, Version: version}
	c.scope = target
	c.scope.Exchange, c.scope.Fanout = cmp.Or(target.Exchange, c.transport.config.Exchange), false
	return nil
}

// watched returns the topic that the client sends to.
func (c *Client) watched() *fleet.Topic {
	if t := c.topic.Load(); t != nil && !t.Closed() {
		return t
	}
	t := c.transport.fleet.Topic(registry.Topic{Exchange: c.scope.Exchange, Name: c.scope.Topic})
	c.topic.Store(t)
	if c.cap.IsAuto() {
		t.Follow(c.contract())
	}
	return t
}

// contract returns the interface that the client uses.
func (c *Client) contract() rpc.Interface {
	return rpc.Interface{Namespace: c.query.Namespace, Major: c.query.Version.Major}
}

// until returns ctx with the deadline of an operation that has begun. It also returns a function to
// call when the operation has ended, or nil.
func (c *Client) until(ctx context.Context, begun time.Time, standard time.Duration) (context.Context, *deadline.Context) {
	if c.settings.HasTimeout {
		standard = c.settings.Timeout
	} else if _, has := ctx.Deadline(); has {
		return ctx, nil
	}
	d := deadline.New(ctx, begun.Add(standard))
	return d, d
}

// forService returns the client for a typed service. The options of the service supply what the
// target leaves out.
func (c *Client) forService(s *typed.Service) *Client {
	if known, ok := c.services.Load(s); ok {
		return known.(*Client)
	}
	settings := c.settings
	t := &settings.Target
	t.Topic, t.Namespace, t.Version = cmp.Or(t.Topic, s.Topic), s.Namespace, ""
	known, _ := c.services.LoadOrStore(s, c.With(settings))
	return known.(*Client)
}

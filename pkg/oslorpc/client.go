package oslorpc

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// The budgets of operations that are given neither a deadline by their ctx nor a [WithTimeout].
const (
	// DefaultCallTimeout is oslo.messaging's rpc_response_timeout.
	DefaultCallTimeout = client.DefaultCallTimeout
	// DefaultCastTimeout is how long a cast or a fanout looks for servers that accept it.
	DefaultCastTimeout = client.DefaultCastTimeout
)

// Client sends messages to a target. It is immutable and safe for concurrent use. [Client.Prepare]
// makes another one with changes. Each operation returns the mistakes in its target or options.
type Client struct{ engine *client.Client }

// ClientOption changes what a client sends and how.
type ClientOption interface{ applyClient(*client.Settings) }

type clientOption func(*client.Settings)

func (o clientOption) applyClient(s *client.Settings) { o(s) }

// None means "none, whatever was set before" to an option that takes a name or a version.
const None = ""

// WithTopic sends to another topic.
func WithTopic(topic string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Topic = topic })
}

// WithExchange sends within another exchange; [None] is the transport's default exchange.
func WithExchange(exchange string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Exchange = exchange })
}

// WithNamespace asks for another interface; [None] is the default namespace.
func WithNamespace(namespace string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Namespace = namespace })
}

// WithVersion asks for a server that implements at least this version; [None] counts as 1.0.
func WithVersion(version string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Version = version })
}

// WithServer sends to the server of this name; [None] is any server.
func WithServer(server string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Server = server })
}

// WithFanout makes casts go to every server on the topic, or not. A call cannot fan out.
// [Client.Fanout] needs no option, and reports what came of the message.
func WithFanout(fanout bool) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Fanout = fanout })
}

// WithTimeout bounds each operation: a call from discovery to the reply, a cast or a fanout until
// it is accepted, a multicall for each wait for an item. The deadline of ctx holds as well, and the
// earlier one counts. 0 expires at once, as upstream.
func WithTimeout(d time.Duration) ClientOption {
	return clientOption(func(s *client.Settings) { s.Timeout, s.HasTimeout = d, true })
}

// WithDefaultTimeout undoes [WithTimeout]: the bound is the deadline of ctx, or if it has none
// [DefaultCallTimeout] for calls and items of a multicall, and [DefaultCastTimeout] for casts and
// fanouts.
func WithDefaultTimeout() ClientOption {
	return clientOption(func(s *client.Settings) { s.Timeout, s.HasTimeout = 0, false })
}

// WithRetry bounds how often a message that no server took is offered again: n times to all servers
// that it may go to, after the first time. 0 does not wait for servers. A negative n, the default,
// goes on until the deadline. It never makes a message run twice.
func WithRetry(n int) ClientOption {
	return clientOption(func(s *client.Settings) { s.Retry = n })
}

// WithFailFast makes a message fail at once when no server is there to take it, when none can be
// connected to, or when discovery cannot be read and nothing is known yet, instead of waiting until
// the deadline. It waits three seconds at most for the first answer of discovery. (The option
// at_least_once upstream.) Unlike WithRetry(0), it still waits for servers that are full.
func WithFailFast(failFast bool) ClientOption {
	return clientOption(func(s *client.Settings) { s.FailFast = failFast })
}

// WithLossyCasts makes Cast succeed when no server took the message, as casts do with a broker:
// [NoInstance], [Refused], [Unreachable] and [Untrusted] are logged, and nil is returned. The
// message is lost. It is for programs that could do nothing about that.
func WithLossyCasts(lossy bool) ClientOption {
	return clientOption(func(s *client.Settings) { s.LossyCasts = lossy })
}

// WithOrderKey makes messages with the same key, of this client and of others, run one after the
// other at a server, in the order in which the server accepted them: the next begins when the
// method of the one before has returned. Casts that are sent one after the other by one goroutine
// are accepted, and so run, in that order. Messages without a key, or with other keys, run at the
// same time.
//
// Each server has an order of its own: name the server, or fan out, if there are several. A message
// that is sent again, since it was refused or its outcome is unknown, comes after the messages that
// were accepted meanwhile. A method must not wait for a message with its own key to its own server.
// A key is text of at most 255 bytes. The default, [None], sets no key.
func WithOrderKey(key string) ClientOption {
	return clientOption(func(s *client.Settings) { s.OrderKey = key })
}

// Client returns a client that sends to target.
func (t *Transport) Client(target Target, options ...ClientOption) *Client {
	return &Client{t.clients.Client(changed(client.Settings{Target: target, Retry: -1}, options))}
}

// Prepare returns a client with changes. What no option changes stays as it is, and [None] clears.
// It costs next to nothing, and c is not affected.
func (c *Client) Prepare(options ...ClientOption) *Client {
	return &Client{c.engine.With(changed(c.engine.Settings(), options))}
}

func changed(s client.Settings, options []ClientOption) client.Settings {
	for _, o := range options {
		o.applyClient(&s)
	}
	return s
}

// Target returns the target that the client sends to.
func (c *Client) Target() Target { return c.engine.Settings().Target }

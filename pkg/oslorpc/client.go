package oslorpc

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// The timeouts of operations if neither their ctx nor [WithTimeout] sets a deadline.
const (
	// DefaultCallTimeout is the timeout of a call: the default of oslo.messaging's
	// rpc_response_timeout.
	DefaultCallTimeout = client.DefaultCallTimeout
	// DefaultCastTimeout is how long a cast or a fanout looks for servers that accept the message.
	DefaultCastTimeout = client.DefaultCastTimeout
)

// Client sends messages to a target. It is immutable and safe for concurrent use. [Client.Prepare]
// makes a changed copy. If the target or the options are invalid, every operation returns an error
// that says so.
type Client struct{ engine *client.Client }

// ClientOption changes what a client sends and how.
type ClientOption interface{ applyClient(*client.Settings) }

type clientOption func(*client.Settings)

func (o clientOption) applyClient(s *client.Settings) { o(s) }

// None clears an option that takes a name or a version, whatever was set before.
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

// WithFanout sets whether casts go to every server on the topic. A call cannot fan out.
// [Client.Fanout] needs no option, and reports the outcome at each server.
func WithFanout(fanout bool) ClientOption {
	return clientOption(func(s *client.Settings) { s.Target.Fanout = fanout })
}

// WithTimeout bounds each operation: a call from discovery to the reply, a cast or a fanout until
// it is accepted, a multicall for each wait for an item. The deadline of ctx holds as well; the
// earlier of the two applies. 0 expires at once, as in oslo.messaging.
func WithTimeout(d time.Duration) ClientOption {
	return clientOption(func(s *client.Settings) { s.Timeout, s.HasTimeout = d, true })
}

// WithDefaultTimeout undoes [WithTimeout]. The deadline of ctx applies. If ctx has none, the
// timeout is [DefaultCallTimeout] for calls and for each item of a multicall, and
// [DefaultCastTimeout] for casts and fanouts.
func WithDefaultTimeout() ClientOption {
	return clientOption(func(s *client.Settings) { s.Timeout, s.HasTimeout = 0, false })
}

// WithRetry sets how often the client retries a message that no server accepted. Each of the n
// retries tries all servers that may accept it. With 0, the client tries the known servers once and
// does not wait for others. A negative n, the default, retries until the deadline. The option never
// makes a message run twice.
func WithRetry(n int) ClientOption {
	return clientOption(func(s *client.Settings) { s.Retry = n })
}

// WithFailFast makes a message fail at once, instead of at the deadline, when no server can accept
// it, when no server accepts connections, or when discovery cannot be read and no servers are known
// yet. It waits at most three seconds for the first answer of discovery. Unlike WithRetry(0), it
// still waits for servers that are full. (Upstream: the option at_least_once.)
func WithFailFast(failFast bool) ClientOption {
	return clientOption(func(s *client.Settings) { s.FailFast = failFast })
}

// WithLossyCasts makes [Client.Cast] succeed when no server accepted the message, as casts do with
// a broker. [NoInstance], [Refused], [Unreachable] and [Untrusted] are then logged, Cast returns
// nil, and the message is lost. It is for programs that cannot act on the error.
func WithLossyCasts(lossy bool) ClientOption {
	return clientOption(func(s *client.Settings) { s.LossyCasts = lossy })
}

// WithOrderKey makes a server run messages with the same key one after the other, in the order in
// which it accepted them. A message begins when the method of the previous one has returned. The
// key applies to the messages of all clients. Casts that one goroutine sends one after the other
// are accepted, and so run, in that order. Messages without a key, or with different keys, run at
// the same time.
//
// Each server has its own order. If there are several servers, name one, or fan out. A message that
// is sent again, because it was refused or its outcome is unknown, comes after the messages that
// were accepted meanwhile. A method must not wait for a message with its own key to its own server.
// A key is text of at most 255 bytes. The default, [None], sets no key.
func WithOrderKey(key string) ClientOption {
	return clientOption(func(s *client.Settings) { s.OrderKey = key })
}

// Client returns a client that sends to target.
func (t *Transport) Client(target Target, options ...ClientOption) *Client {
	return &Client{t.clients.Client(changed(client.Settings{Target: target, Retry: -1}, options))}
}

// Prepare returns a copy of c with changes. Settings without an option stay as they are, and [None]
// clears a setting. The copy is cheap, and c is not affected.
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

package oslorpc

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Backoff makes callers more patient with methods that take long, as Neutron's agents are. Agents
// that give up on a busy server and ask again, before it is done with what they asked first, only
// make it busier.
//
// When a call fails with [Timeout], the timeout of its method doubles, up to Max, and the error is
// returned after a random wait, so that callers that failed together do not come back together. A
// timeout is never lowered again: a busy server is far more common than a lost message. Other
// errors, [RemoteError] among them, leave it as it is. A method is known by its namespace and name,
// whatever its topic.
//
// A program mostly has one, which its clients share; see [WithBackoff]. The zero value is ready.
// Its fields must not be changed after its first use; its methods are safe for concurrent use.
type Backoff struct {
	// Initial is the timeout of a method that has not timed out yet, and bounds the random wait;
	// [DefaultCallTimeout] if it is not positive.
	Initial time.Duration
	// Max bounds all timeouts; ten times Initial if it is not positive.
	Max time.Duration

	learned client.Timeouts
}

// engine returns what the engine needs of it.
func (b *Backoff) engine() client.Backoff {
	return client.Backoff{Initial: b.Initial, Max: b.Max, Learned: &b.learned}
}

// WithBackoff takes the timeouts of calls from b, which may be shared with other clients; nil is
// none. It has no effect on a client with a [WithTimeout], nor on anything but calls. If ctx has an
// earlier deadline, that counts, and when it passes, b does not take it for the method's fault.
func WithBackoff(b *Backoff) ClientOption {
	return clientOption(func(s *client.Settings) {
		if s.Backoff = nil; b != nil {
			s.Backoff = b.engine
		}
	})
}

// Timeout returns the timeout of a method; namespace is empty for the default namespace.
func (b *Backoff) Timeout(namespace, method string) time.Duration {
	return b.engine().Timeout(namespace, method)
}

// SetMax lowers Max, and with it the timeouts that exceed it, such as for the last calls of a
// program that ends. A d that is not lower, or not positive, changes nothing. Calls that wait
// already are not affected.
func (b *Backoff) SetMax(d time.Duration) { b.engine().SetMax(d) }

package oslorpc

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Backoff raises the timeouts of slow methods, as Neutron's agents do. An agent that gives up on a
// busy server and asks again too early only makes the server busier.
//
// When a call fails with [Timeout], the timeout of its method doubles, up to Max. The error is
// returned after a random wait, so that callers that failed at the same time do not retry at the
// same time. A timeout is never lowered again, because a busy server is far more common than a lost
// message. Other errors, such as [RemoteError], do not change it. A method is identified by its
// namespace and name; its topic does not matter.
//
// A program usually has one Backoff, which its clients share; see [WithBackoff]. The zero value is
// ready to use. Its fields must not be changed after its first use. Its methods are safe for
// concurrent use.
type Backoff struct {
	// Initial is the timeout of a method that has not timed out yet. It also bounds the random
	// wait. The zero value, or a negative one, means [DefaultCallTimeout].
	Initial time.Duration
	// Max bounds all timeouts. The zero value, or a negative one, means ten times Initial.
	Max time.Duration

	learned client.Timeouts
}

// engine converts the backoff to the engine's type, which shares its learned timeouts.
func (b *Backoff) engine() client.Backoff {
	return client.Backoff{Initial: b.Initial, Max: b.Max, Learned: &b.learned}
}

// WithBackoff takes the timeouts of calls from b, which other clients may share. Nil means none.
// The option affects only calls, and only of clients without [WithTimeout]. An earlier deadline of
// ctx still holds; b does not raise the timeout of the method when that deadline passes.
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

// SetMax lowers Max, and the timeouts that exceed the new value. A program can use it for the last
// calls before it ends. A d that is not lower, or not positive, changes nothing. Calls that wait
// already are not affected.
func (b *Backoff) SetMax(d time.Duration) { b.engine().SetMax(d) }

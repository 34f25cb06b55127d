package oslorpc

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Backoff makes callers more patient with methods that take long, as Neutron's agents are. Agents that give up on a busy server
// and ask again, before it is done with what they asked first, only make it busier.
//
// When a call fails with [Timeout], the timeout of its method doubles, up to Max, and the error is returned after a random wait,
// so that callers that failed together do not come back together. A timeout is never lowered again: a busy server is far more
// common than a lost message. Other errors, [RemoteError] among them, leave it as it is. A method is known by its namespace and
// name, whatever its topic.
//
// A program mostly has one, which its clients share; see [WithBackoff]. The zero value is ready. Its fields must not be changed
// after its first use; its methods are safe for concurrent use.
type Backoff struct {
	// Initial is the timeout of a method that has not timed out yet, and bounds the random wait; [DefaultCallTimeout] if it is not
	// positive.
	Initial time.Duration
	// Max bounds all timeouts; ten times Initial if it is not positive.
	Max time.Duration

	mu sync.Mutex
	// lowered is the bound set by SetMax; 0 if there is none.
	lowered  time.Duration
	timeouts map[string]time.Duration // by namespace.method, of those that timed out
}

// WithBackoff takes the timeouts of calls from b, which may be shared with other clients; nil is none. It has no effect on a client
// with a [WithTimeout], nor on anything but calls. If ctx has an earlier deadline, that counts, and when it passes, b does not
// take it for the method's fault.
func WithBackoff(b *Backoff) ClientOption {
	return clientOption(func(s *settings) { s.backoff = b })
}

// Timeout returns the timeout of a method; namespace is empty for the null namespace.
func (b *Backoff) Timeout(namespace, method string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.timeout(scoped(namespace, method))
}

// SetMax lowers Max, and with it the timeouts that exceed it, such as for the last calls of a program that ends. A d that is not lower,
// or not positive, changes nothing. Calls that wait already are not affected.
func (b *Backoff) SetMax(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d > 0 && d < b.max() {
		b.lowered = d
	}
}

// scoped names a method.
func scoped(namespace, method string) string {
	if namespace == "" {
		return method
	}
	return namespace + "." + method
}

func (b *Backoff) initial() time.Duration {
	if b.Initial > 0 {
		return b.Initial
	}
	return DefaultCallTimeout
}

// max returns the bound of all timeouts. The lock is held.
func (b *Backoff) max() time.Duration {
	const times = 10
	switch {
	case b.lowered > 0:
		return b.lowered
	case b.Max > 0:
		return b.Max
	default:
		return times * b.initial()
	}
}

// timeout returns the timeout of a method. The lock is held.
func (b *Backoff) timeout(scoped string) time.Duration {
	t, late := b.timeouts[scoped]
	if !late {
		t = b.initial()
	}
	return min(t, b.max())
}

// timedOut takes note that a call with a timeout timed out, and returns the longest wait before its caller is told. Calls that
// time out together had the same timeout, and so double it once.
func (b *Backoff) timedOut(scoped string, timeout time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.timeout(scoped)
	if doubled := min(2*timeout, b.max()); doubled > now {
		if b.timeouts == nil {
			b.timeouts = map[string]time.Duration{}
		}
		b.timeouts[scoped] = doubled
	}
	return min(now, b.initial())
}

// call makes a call with the timeout of its method.
func (b *Backoff) call(ctx context.Context, namespace, method string, call func(context.Context) error) error {
	timeout := b.Timeout(namespace, method)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := call(limited)
	if KindOf(err) != Timeout || endsEarlier(ctx, limited) {
		return err
	}
	most := b.timedOut(scoped(namespace, method), timeout)
	wait := time.NewTimer(rand.N(most))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	return err
}

// endsEarlier reports whether limited, which was made of ctx with a timeout, has the deadline of ctx all the same.
func endsEarlier(ctx, limited context.Context) bool {
	theirs, has := ctx.Deadline()
	ours, _ := limited.Deadline()
	return has && !theirs.After(ours)
}

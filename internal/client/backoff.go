package client

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Backoff raises the timeouts of slow methods: when a call times out, the timeout of its method
// doubles.
type Backoff struct {
	// Initial is the timeout of a method that has not timed out yet; DefaultCallTimeout if it is
	// not positive.
	Initial time.Duration
	// Max bounds all timeouts; ten times Initial if it is not positive.
	Max time.Duration
	// Learned are the timeouts that were raised.
	Learned *Timeouts
}

// Timeouts are the timeouts of methods that timed out. The zero value has none. It is safe for
// concurrent use.
type Timeouts struct {
	mu sync.Mutex
	// lowered is the bound set by SetMax; 0 if there is none.
	lowered time.Duration
	known   map[string]time.Duration // by namespace.method
}

// Timeout returns the timeout of a method. Namespace is empty for the default namespace.
func (b Backoff) Timeout(namespace, method string) time.Duration {
	b.Learned.mu.Lock()
	defer b.Learned.mu.Unlock()
	return b.timeout(scoped(namespace, method))
}

// SetMax lowers Max, and the timeouts that exceed the new value. A d that is not lower, or not
// positive, changes nothing.
func (b Backoff) SetMax(d time.Duration) {
	b.Learned.mu.Lock()
	defer b.Learned.mu.Unlock()
	if d > 0 && d < b.max() {
		b.Learned.lowered = d
	}
}

// scoped returns a key for a method.
func scoped(namespace, method string) string {
	if namespace == "" {
		return method
	}
	return namespace + "." + method
}

func (b Backoff) initial() time.Duration {
	if b.Initial > 0 {
		return b.Initial
	}
	return DefaultCallTimeout
}

// max returns the bound of all timeouts. The lock is held.
func (b Backoff) max() time.Duration {
	const times = 10
	switch {
	case b.Learned.lowered > 0:
		return b.Learned.lowered
	case b.Max > 0:
		return b.Max
	default:
		return times * b.initial()
	}
}

// timeout returns the timeout of a method. The lock is held.
func (b Backoff) timeout(scoped string) time.Duration {
	t, late := b.Learned.known[scoped]
	if !late {
		t = b.initial()
	}
	return min(t, b.max())
}

// timedOut records that a call with a timeout timed out, and returns the longest wait before its
// caller is told. Calls that time out together had the same timeout, so they double it only once.
func (b Backoff) timedOut(scoped string, timeout time.Duration) time.Duration {
	b.Learned.mu.Lock()
	defer b.Learned.mu.Unlock()
	now := b.timeout(scoped)
	if doubled := min(2*timeout, b.max()); doubled > now {
		if b.Learned.known == nil {
			b.Learned.known = map[string]time.Duration{}
		}
		b.Learned.known[scoped] = doubled
	}
	return min(now, b.initial())
}

// call makes a call with the timeout of its method. If the call times out, its error is returned
// after a random wait, so that callers that failed together do not come back together.
func (b Backoff) call(ctx context.Context, namespace, method string, call func(context.Context) error) error {
	timeout := b.Timeout(namespace, method)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := call(limited)
	if rpc.KindOf(err) != rpc.Timeout || endsEarlier(ctx, limited) {
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

// endsEarlier reports whether limited, which derives from ctx with a timeout, still has the
// deadline of ctx.
func endsEarlier(ctx, limited context.Context) bool {
	theirs, has := ctx.Deadline()
	ours, _ := limited.Deadline()
	return has && !theirs.After(ours)
}

package peer

import (
	"context"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// Enter is Acquire for an RPC that needs a stream of its own. It waits while all streams that the
// peer allows are in use, for at most patience. Its error is carrier.ErrFull, the error of ctx, or
// net.ErrClosed. gRPC would wait as well, but without a bound, and without a sign that it does.
func (p *Peer) Enter(ctx context.Context, patience time.Duration) error {
	for end := (time.Time{}); ; {
		n := p.refs.Load()
		switch {
		case n == 0:
			return net.ErrClosed
		case n > p.Capacity():
			if end.IsZero() {
				end = time.Now().Add(patience)
			}
			given, err := p.queue.wait(ctx, time.Until(end), p.full)
			if given && err != nil {
				p.Release()
			}
			if err != nil {
				return err
			}
			if given {
				p.uses.Add(1)
				return nil
			}
		case p.refs.CompareAndSwap(n, n+1):
			p.uses.Add(1)
			return nil
		}
	}
}

// full reports whether all streams are in use.
func (p *Peer) full() bool {
	n := p.refs.Load()
	return n > 0 && n > p.Capacity()
}

// pass gives the stream of an RPC that has ended to the message that waits longest. To free it and
// have that one try would not do: a message that comes meanwhile, often from the goroutine whose
// RPC has ended, would mostly be faster. It returns false if none waits, or if the peer allows
// fewer streams than before.
func (p *Peer) pass() bool {
	return p.queue.length.Load() > 0 && p.Outstanding() <= p.Capacity() && p.queue.next(true)
}

// Capacity returns how many RPCs the peer allows at a time on its connection. It is a large number
// until the peer has said.
func (p *Peer) Capacity() int64 {
	if l := p.sight.line.Load(); l != nil {
		return l.limit.Load() - p.kept.Load()
	}
	return math.MaxInt64
}

// Line stands for the connection to the peer: it compares unequal once another one was made.
func (p *Peer) Line() any { return p.sight.line.Load() }

// Keep adds to the streams that are open without an RPC of a caller, and are no places for RPCs.
func (p *Peer) Keep(n int64) { p.kept.Add(n) }

// queue are messages that wait for a stream, in the order in which they came. Its zero value is
// empty.
type queue struct {
	length  atomic.Int64
	mu      sync.Mutex
	waiting []*waiter
}

// waiter is one of them.
type waiter struct {
	turn  chan struct{} // closed when it leaves the queue
	given bool          // it has a stream; set before its turn comes
}

// wait waits for its turn, if there still is a reason to wait once it stands in the queue. If it
// is given a stream, it has that even if it returns an error; else it may try to take one.
func (q *queue) wait(ctx context.Context, patience time.Duration, reason func() bool) (given bool, err error) {
	w := &waiter{turn: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, w)
	q.length.Add(1)
	q.mu.Unlock()
	if !reason() {
		return q.leave(w), nil
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-w.turn:
		return w.given, nil
	case <-late.C:
		return q.leave(w), carrier.ErrFull
	case <-ctx.Done():
		return q.leave(w), context.Cause(ctx)
	}
}

// leave takes one out. If its turn had come meanwhile without a stream, the next one has it.
func (q *queue) leave(w *waiter) (given bool) {
	q.mu.Lock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.length.Add(-1)
	}
	q.mu.Unlock()
	if i < 0 && !w.given {
		q.next(false)
	}
	return w.given
}

// next gives the first one a stream, or lets it try. It returns false if there is none.
func (q *queue) next(given bool) bool {
	if q.length.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return false
	}
	w := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	q.length.Add(-1)
	w.given = given
	close(w.turn)
	return true
}

// all lets all try, since the peer may allow more now.
func (q *queue) all() {
	if q.length.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.waiting {
		close(w.turn)
	}
	q.length.Add(-int64(len(q.waiting)))
	q.waiting = nil
}

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

// Enter is Acquire for an RPC that needs its own stream. While all streams that the peer allows are
// in use, it waits for at most patience. Its error is carrier.ErrFull, the error of ctx, or
// net.ErrClosed. gRPC would wait as well, but without a bound, and without any sign of the wait.
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

// pass gives the stream of an ended RPC to the message that has waited longest. It is not enough to
// free the stream and wake that message: a newer message, often from the goroutine of the ended
// RPC, would usually get the stream first. Pass returns false if no message waits, or if the peer
// now allows fewer streams.
func (p *Peer) pass() bool {
	return p.queue.length.Load() > 0 && p.Outstanding() <= p.Capacity() && p.queue.next(true)
}

// Capacity returns how many RPCs the peer allows at a time on its connection. It is a large number
// until the peer has announced its limit.
func (p *Peer) Capacity() int64 {
	if l := p.sight.line.Load(); l != nil {
		return l.limit.Load() - p.kept.Load()
	}
	return math.MaxInt64
}

// Line identifies the connection to the peer: the value changes when another connection is made.
func (p *Peer) Line() any { return p.sight.line.Load() }

// Keep adds n, which may be negative, to the number of streams that are open without an RPC of a
// caller, such as sessions. They reduce Capacity.
func (p *Peer) Keep(n int64) { p.kept.Add(n) }

// queue holds the messages that wait for a stream, in order of arrival. Its zero value is empty.
type queue struct {
	length  atomic.Int64
	mu      sync.Mutex
	waiting []*waiter
}

// waiter is a message in a queue.
type waiter struct {
	turn  chan struct{} // closed when it leaves the queue
	given bool          // it left the queue with a stream; set before turn is closed
}

// wait puts a message into the queue and waits for its turn, for at most patience. It does not wait
// if reason returns false once the message is in the queue. If given is true, the message has a
// stream, even if there is an error. If given is false and there is no error, it may try to take a
// stream.
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

// leave removes a message that gives up from the queue. If the message was woken in the meantime to
// try to take a stream, leave wakes the next one instead.
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

// next wakes the first message of the queue. If given is true, that message gets the stream of the
// caller; otherwise it tries to take one. Next returns false if the queue is empty.
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

// all wakes all messages of the queue to try to take a stream, because the peer may allow more now.
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

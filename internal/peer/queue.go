package peer

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStreams means that all streams that a peer allows stayed in use.
var ErrStreams = errors.New("all streams that the peer allows on a connection are in use")

// Enter is Acquire for what needs a stream: it waits while all that the peer allows are in use,
// for a while. Its error is ErrStreams, the error of ctx, or net.ErrClosed. gRPC would wait as
// well, but without a bound, and without telling that it does.
func (p *Peer) Enter(ctx context.Context, patience time.Duration) error {
	for {
		n := p.refs.Load()
		switch {
		case n == 0:
			return net.ErrClosed
		case n > p.Streams():
			if err := p.queue.wait(ctx, patience, func() bool { return p.refs.Load() > p.Streams() && p.refs.Load() > 0 }); err != nil {
				return err
			}
		case p.refs.CompareAndSwap(n, n+1):
			p.uses.Add(1)
			return nil
		}
	}
}

// Streams returns how many RPCs the peer allows at a time on its connection; many if it did not
// say.
func (p *Peer) Streams() int64 {
	if l := p.sight.line.Load(); l != nil {
		return l.limit.Load()
	}
	return math.MaxInt64
}

// queue are messages that wait for a stream, in the order in which they came. Its zero value is
// empty.
type queue struct {
	length  atomic.Int64
	mu      sync.Mutex
	waiting []chan struct{}
}

// wait waits for its turn, if there still is a reason to wait once it stands in the queue.
func (q *queue) wait(ctx context.Context, patience time.Duration, reason func() bool) error {
	turn := make(chan struct{})
	q.mu.Lock()
	q.waiting = append(q.waiting, turn)
	q.length.Add(1)
	q.mu.Unlock()
	if !reason() {
		q.leave(turn)
		return nil
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-turn:
		return nil
	case <-late.C:
		q.leave(turn)
		return ErrStreams
	case <-ctx.Done():
		q.leave(turn)
		return context.Cause(ctx)
	}
}

// leave takes one out. If its turn had come meanwhile, the next one has it.
func (q *queue) leave(turn chan struct{}) {
	q.mu.Lock()
	i := slices.Index(q.waiting, turn)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.length.Add(-1)
	}
	q.mu.Unlock()
	if i < 0 {
		q.next()
	}
}

// next lets the first one try.
func (q *queue) next() {
	if q.length.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		close(q.waiting[0])
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.length.Add(-1)
	}
}

// all lets all try, since the peer may allow more now.
func (q *queue) all() {
	if q.length.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, turn := range q.waiting {
		close(turn)
	}
	q.length.Add(-int64(len(q.waiting)))
	q.waiting = nil
}

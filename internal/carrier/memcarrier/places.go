package memcarrier

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// places are the places for concurrent messages on a link.
type places struct {
	mu       sync.Mutex
	used     int64
	capacity int64
	waiting  []chan struct{} // closed when a place is given
	retired  func()          // called when the last place is given back; nil while the link is in use
	closed   bool
}

// enter takes a place. It waits for a place for at most patience.
func (p *places) enter(ctx context.Context, patience time.Duration) error {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return net.ErrClosed
	case p.used < p.capacity:
		p.used++
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	err := carrier.ErrFull
	select {
	case <-turn:
		return nil
	case <-late.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if p.leave(turn) { // it was given a place meanwhile
		p.release()
	}
	return err
}

// leave stops waiting, and reports whether a place was given meanwhile.
func (p *places) leave(turn chan struct{}) (given bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting, turn)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	return i < 0
}

// hold takes one more place, even beyond the capacity.
func (p *places) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used++
}

// release releases a place, or passes it to the message that has waited longest.
func (p *places) release() {
	p.mu.Lock()
	if len(p.waiting) > 0 && p.used <= p.capacity {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
		p.mu.Unlock()
		return
	}
	p.used--
	p.retireNow()
}

// retire closes the link when the last place is released.
func (p *places) retire(done func()) {
	p.mu.Lock()
	p.retired = done
	p.retireNow()
}

// retireNow releases the lock.
func (p *places) retireNow() {
	done := p.retired
	last := done != nil && p.used == 0
	p.closed = p.closed || last
	p.mu.Unlock()
	if last {
		done()
	}
}

// settle sets the capacity, which is not known before the first connection.
func (p *places) settle(capacity int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.capacity = capacity
}

func (p *places) state() (used, capacity int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.capacity
}

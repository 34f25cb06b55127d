package memcarrier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Link is the way to one process.
type Link struct {
	key     carrier.Key
	carrier *Carrier
	holders int // guarded by the lock of the carrier
	places  places

	stop chan struct{} // closed when the link is closed
	kick chan struct{} // has the next attempt to connect begin at once

	mu       sync.Mutex
	health   carrier.Health // Idle, Connecting, Ready or Down
	conn     *conn          // the last one
	attempts int            // to connect, that have ended
	changed  chan struct{}  // closed when one of these changes
	running  sync.WaitGroup
	closed   bool
}

// retryTime is how long it takes until a process that is down is tried again.
const retryTime = 100 * time.Millisecond

func newLink(key carrier.Key, c *Carrier) *Link {
	l := &Link{key: key, carrier: c, health: carrier.Idle, stop: make(chan struct{}), kick: make(chan struct{}, 1), changed: make(chan struct{})}
	l.places.capacity = math.MaxInt64
	return l
}

// Health implements [carrier.Link].
func (l *Link) Health() carrier.Health {
	used, capacity := l.places.state()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.health != carrier.Ready:
		return l.health
	case l.conn.isBroken():
		return carrier.Connecting
	case used > 0 && l.conn.host.isLost():
		return carrier.Silent
	case used >= capacity:
		return carrier.Full
	default:
		return carrier.Ready
	}
}

// Outstanding implements [carrier.Link].
func (l *Link) Outstanding() int64 {
	used, _ := l.places.state()
	return used
}

// Capacity implements [carrier.Link].
func (l *Link) Capacity() int64 {
	_, capacity := l.places.state()
	return capacity
}

// Absent implements [carrier.Link].
func (l *Link) Absent() bool { return l.Health() == carrier.Down }

// Unlist implements [carrier.Link]. A message ends when its process does.
func (l *Link) Unlist(bool) {}

// Explain implements [carrier.Link].
func (l *Link) Explain(server string, err error) (rpc.Kind, string) {
	switch l.Health() {
	case carrier.Down:
		err = errors.New("nothing listens there")
	case carrier.Silent:
		err = errors.New("it does not answer")
	}
	return rpc.Unreachable, fmt.Sprintf("server %s at %s cannot be reached: %v", server, l.key.Addr, err)
}

// Enter implements [carrier.Link].
func (l *Link) Enter(ctx context.Context, patience time.Duration) error {
	return l.places.enter(ctx, patience)
}

// Release implements [carrier.Link].
func (l *Link) Release() { l.places.release() }

// Connect implements [carrier.Link].
func (l *Link) Connect(ctx context.Context) error {
	before, err := l.begin()
	if err != nil {
		return err
	}
	for {
		health, tried, changed := l.now(before)
		switch {
		case health.Connected():
			return nil
		case health == carrier.Down && l.isClosed():
			return net.ErrClosed
		case health == carrier.Down && tried:
			return errRefused
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// now returns the health, whether an attempt to connect has ended since the number of attempts was
// before, and a channel that is closed when the answer may have changed.
func (l *Link) now(before int) (health carrier.Health, tried bool, changed <-chan struct{}) {
	l.mu.Lock()
	changed, tried = l.changed, l.attempts > before
	l.mu.Unlock()
	if health = l.Health(); health == carrier.Silent {
		l.mu.Lock()
		defer l.mu.Unlock()
		changed = l.conn.host.reachable()
	}
	return health, tried, changed
}

func (l *Link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// begin begins to connect, and returns how many attempts have ended so far.
func (l *Link) begin() (attempts int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return 0, net.ErrClosed
	case l.health == carrier.Idle:
		l.health = carrier.Connecting
		l.running.Go(l.maintain)
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
	return l.attempts, nil
}

// maintain keeps the link connected until it is closed.
func (l *Link) maintain() {
	for {
		c, err := l.carrier.network.dial(l.key.Addr, l.stop)
		if err == nil {
			l.places.settle(c.host.capacity)
		}
		l.set(c, err)
		var broken <-chan struct{}
		again := time.NewTimer(retryTime)
		if err == nil {
			l.carrier.tellReady()
			again.Stop()
			broken = c.broken
		}
		select {
		case <-l.stop:
			again.Stop()
			if c != nil {
				c.close()
			}
			return
		case <-broken:
			l.lose()
		case <-again.C:
		case <-l.kickFor(err):
			again.Stop()
		}
	}
}

// kickFor returns the channel that starts the next attempt at once, if the last one failed.
func (l *Link) kickFor(err error) <-chan struct{} {
	if err == nil {
		return nil
	}
	return l.kick
}

// set notes the result of an attempt to connect.
func (l *Link) set(c *conn, err error) {
	health := carrier.Ready
	if err != nil {
		health = carrier.Down
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts++
	l.conn = c
	l.change(health)
}

// lose notes that the connection broke.
func (l *Link) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(carrier.Connecting)
}

// change sets the health. The lock is held.
func (l *Link) change(health carrier.Health) {
	l.health = health
	close(l.changed)
	l.changed = make(chan struct{})
}

// close closes the connection, and keeps the link from connecting again.
func (l *Link) close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if first {
		close(l.stop)
	}
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(carrier.Down)
}

// Package peer keeps the gRPC connections of a process to other processes: one for each remote
// process, shared by all topics that it serves, unless each topic has its own certificate. A
// connection is made at first use.
package peer

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// Peer is a remote process. Its methods are safe for concurrent use.
type Peer struct {
	key  carrier.Key
	pool *Pool
	// holders is how many callers got the peer from the pool and have not put it back. The pool's
	// lock guards it.
	holders int
	// health is the state of the connection, or Silent. Busy is computed on request.
	health atomic.Int32
	// refs counts the pool's reference and the running RPCs. The connection is closed when it falls to
	// zero.
	refs     atomic.Int64
	kept     atomic.Int64 // streams that are open without an RPC of a caller; see Keep
	uses     atomic.Int64 // how many RPCs were ever made
	hastened atomic.Int64 // when the back-off was last ended early, in Unix nanoseconds
	wanted   atomic.Int64 // when Connect was last called while the peer was down, in Unix nanoseconds
	sight    sight
	queue    queue
	watch    attention

	mu      sync.Mutex
	conn    *grpc.ClientConn
	changed chan struct{} // closed at the next change of health
	closed  bool
	// life is the context of the connection.
	life context.Context //nolint:containedctx // It is the connection's own.
	stop context.CancelFunc
	// running are the goroutines that belong to the connection.
	running sync.WaitGroup
}

func newPeer(key carrier.Key, pool *Pool) *Peer {
	p := &Peer{key: key, pool: pool, changed: make(chan struct{})}
	p.sight.peer = p
	p.health.Store(int32(carrier.Idle))
	p.refs.Store(1)
	return p
}

// Health returns the peer's health now.
func (p *Peer) Health() carrier.Health {
	h := carrier.Health(p.health.Load())
	if l := p.sight.line.Load(); h == carrier.Ready && l != nil {
		switch outstanding := p.Outstanding(); {
		case outstanding >= p.Capacity():
			return carrier.Full
		case l.owes(p.uses.Load(), outstanding):
			return carrier.Busy
		}
	}
	return h
}

// Outstanding returns how many RPCs are running.
func (p *Peer) Outstanding() int64 { return p.refs.Load() - 1 }

// Acquire keeps the connection open until Release. It returns false if the peer was dropped from
// the pool and closed.
func (p *Peer) Acquire() bool {
	for {
		n := p.refs.Load()
		if n == 0 {
			return false
		}
		if p.refs.CompareAndSwap(n, n+1) {
			p.uses.Add(1)
			return true
		}
	}
}

// Release undoes Acquire, or Enter.
func (p *Peer) Release() {
	if !p.pass() {
		p.leave()
	}
}

// leave drops a reference. If a message waits for a stream, and one is free now, leave wakes it.
func (p *Peer) leave() {
	if p.refs.Add(-1) == 0 {
		p.close()
	}
	if !p.full() {
		p.queue.next(false)
	}
}

// Conn returns the connection, and makes it if there is none. It does not wait until the connection
// is ready.
func (p *Peer) Conn() (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil || p.closed {
		return p.conn, p.closedError()
	}
	conn, err := p.pool.dial(p.key, &p.sight)
	if err != nil {
		return nil, err
	}
	p.conn = conn
	p.life, p.stop = context.WithCancel(context.Background())
	p.running.Go(func() { p.follow(p.life, conn) })
	p.pool.attend(p)
	return conn, nil
}

func (p *Peer) closedError() error {
	if p.closed {
		return net.ErrClosed
	}
	return nil
}

// Connect returns nil when the peer is connected and answers. It starts connecting, if necessary.
// It returns an error when the attempt failed, the peer was closed, or ctx ended; connecting then
// goes on in the background.
func (p *Peer) Connect(ctx context.Context) error {
	conn, err := p.Conn() //nolint:contextcheck // The connection outlives the call.
	if err != nil {
		return err
	}
	before := p.Health()
	if before == carrier.Down {
		p.wanted.Store(time.Now().UnixNano())
		p.hasten(conn)
	}
	line := p.sight.line.Load()
	for told := false; ; {
		h, changed, err := p.now()
		switch {
		case err != nil:
			return err
		case h.Connected():
			return nil
		case h == carrier.Down && (before != carrier.Down || p.sight.why().isNow()):
			return errDown
		case h == carrier.Idle && (told || p.sight.line.Load() != line && conn.GetState() == connectivity.Idle):
			return errLost // nothing else would connect it again
		case h == carrier.Idle: // never connected, or on a busy machine gRPC has not begun yet
			conn.Connect()
		}
		if told, err = wait(ctx, changed); err != nil {
			return err
		}
	}
}

var (
	errDown = errors.New("connecting failed")
	errLost = errors.New("the connection was closed as soon as it was made")
)

// hasten ends gRPC's back-off early, at most once a second, because the peer may be back long
// before the back-off ends.
func (p *Peer) hasten(conn *grpc.ClientConn) {
	now := time.Now().UnixNano()
	if last := p.hastened.Load(); now-last > int64(time.Second) && p.hastened.CompareAndSwap(last, now) {
		conn.ResetConnectBackoff()
	}
}

// now returns the health, and a channel that is closed at its next change. It reads both at once.
// The error is net.ErrClosed if the peer is closed.
func (p *Peer) now() (carrier.Health, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Health(), p.changed, p.closedError()
}

// blink is the interval at which Connect looks at the health even without a change, because it may
// miss a change that is undone at once.
const blink = 200 * time.Millisecond

func wait(ctx context.Context, changed <-chan struct{}) (told bool, err error) {
	timer := time.NewTimer(blink)
	defer timer.Stop()
	select {
	case <-changed:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// follow updates the health when the state of the connection changes, and restores the connection
// of a peer that is in use.
func (p *Peer) follow(ctx context.Context, conn *grpc.ClientConn) {
	var usesWhenReady int64
	for state := connectivity.Idle; conn.WaitForStateChange(ctx, state); {
		state = conn.GetState()
		switch state {
		case connectivity.Ready:
			usesWhenReady = p.uses.Load()
			p.set(carrier.Ready)
		case connectivity.TransientFailure:
			p.set(carrier.Down)
		case connectivity.Connecting:
			if p.Health() != carrier.Down { // it stays down until it is ready
				p.set(carrier.Connecting)
			}
		case connectivity.Idle:
			p.idle(conn, usesWhenReady)
		case connectivity.Shutdown:
			return
		}
	}
}

// idle handles a peer that lost its connection, or has none yet. It connects the peer again if the
// peer was used since it was last ready, or could not be reached.
func (p *Peer) idle(conn *grpc.ClientConn, usesWhenReady int64) {
	switch {
	case p.Health() == carrier.Down:
		conn.Connect()
	case p.up() && p.uses.Load() != usesWhenReady:
		p.set(carrier.Connecting)
		conn.Connect()
	default:
		p.set(carrier.Idle)
	}
}

// up reports whether there is a connection, even if the peer does not answer.
func (p *Peer) up() bool {
	h := carrier.Health(p.health.Load())
	return h == carrier.Ready || h == carrier.Silent
}

// set records the health and wakes waiting callers. It wakes them even if the health has the same
// value as before, because it may have had another value in between.
func (p *Peer) set(h carrier.Health) {
	p.mu.Lock()
	p.tell(h)
	p.mu.Unlock()
	if h == carrier.Ready {
		p.pool.tellReady()
	}
}

// change sets the health if it still has the expected value.
func (p *Peer) change(from, to carrier.Health) {
	p.mu.Lock()
	changed := p.health.Load() == int32(from)
	if changed {
		p.tell(to)
	}
	p.mu.Unlock()
	if changed && to == carrier.Ready {
		p.pool.tellReady()
	}
}

// tell records the health and wakes waiting callers. The lock is held.
func (p *Peer) tell(h carrier.Health) {
	p.health.Store(int32(h))
	close(p.changed)
	p.changed = make(chan struct{})
	p.queue.all()
}

func (p *Peer) close() {
	p.mu.Lock()
	p.closed = true
	conn, stop := p.conn, p.stop
	p.mu.Unlock()
	if conn != nil {
		p.pool.forget(p)
		stop()
		_ = conn.Close() // its only error is that it is already closed
		p.running.Wait()
	}
	p.set(carrier.Down) // older views may still refer to the peer
}

// Package peer holds the connections of a process to other processes: one for each remote process, shared by all topics that it
// serves, and made when it is first needed.
package peer

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
)

// Health says how likely a message sent to a peer is to arrive, the likeliest first.
type Health int32

// The healths.
const (
	// Ready: connected.
	Ready Health = iota
	// Idle: not connected, and nothing speaks against it: never tried, or closed while it was not used.
	Idle
	// Connecting: being connected for the first time, or again after a connection was lost.
	Connecting
	// Down: connecting failed; it is tried again in the background, at growing intervals.
	Down
)

// String returns the health in a word.
func (h Health) String() string {
	return [...]string{"ready", "idle", "connecting", "down"}[h]
}

// Key identifies a remote process. The boot id tells a process from another that had its address before: a connection that
// waits out a back-off for the old one would cost the new one seconds.
type Key struct{ Addr, BootID string }

// Peer is a remote process. Its methods are safe for concurrent use.
type Peer struct {
	key    Key
	dial   func(addr string) (*grpc.ClientConn, error)
	health atomic.Int32
	// refs counts the pool's hold and the RPCs that run; the connection is closed when it falls to zero.
	refs     atomic.Int64
	hastened atomic.Int64 // when the back-off was last ended, in Unix nanoseconds
	uses     atomic.Int64 // RPCs ever; tells whether a lost connection is worth restoring

	mu      sync.Mutex
	conn    *grpc.ClientConn
	changed chan struct{} // closed at the next change of health
	closed  bool
	stop    context.CancelFunc
	watched sync.WaitGroup
}

func newPeer(key Key, dial func(string) (*grpc.ClientConn, error)) *Peer {
	p := &Peer{key: key, dial: dial, changed: make(chan struct{})}
	p.health.Store(int32(Idle))
	p.refs.Store(1)
	return p
}

// Health returns the peer's health now.
func (p *Peer) Health() Health { return Health(p.health.Load()) }

// Acquire keeps the connection open until Release. It returns false if the peer was dropped from the pool and closed.
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

// Release undoes Acquire.
func (p *Peer) Release() {
	if p.refs.Add(-1) == 0 {
		p.close()
	}
}

// Conn returns the connection, made if there is none yet; it does not wait until it is ready.
func (p *Peer) Conn() (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil || p.closed {
		return p.conn, p.closedError()
	}
	conn, err := p.dial(p.key.Addr)
	if err != nil {
		return nil, err
	}
	p.conn = conn
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.watched.Go(func() { p.watch(ctx, conn) })
	return conn, nil
}

func (p *Peer) closedError() error {
	if p.closed {
		return net.ErrClosed
	}
	return nil
}

// Connect returns nil when the peer is ready. It starts connecting if need be, and returns an error when that failed, the peer
// was closed, or ctx ended; connecting goes on in the background then.
func (p *Peer) Connect(ctx context.Context) error {
	conn, err := p.Conn() //nolint:contextcheck // The connection outlives the call.
	if err != nil {
		return err
	}
	before := p.Health()
	if before == Down {
		p.hasten(conn)
	}
	for first := true; ; first = false {
		h, changed, err := p.now()
		switch {
		case err != nil:
			return err
		case h == Ready:
			return nil
		case h == Down && before != Down:
			return errDown
		case h == Idle && !first:
			return errLost // and nobody connects it again
		case h == Idle:
			conn.Connect()
		}
		if err := wait(ctx, changed); err != nil {
			return err
		}
	}
}

var (
	errDown = errors.New("connecting failed")
	errLost = errors.New("the connection was closed as soon as it was made")
)

// hasten ends the back-off of a peer that is wanted, at most once a second: it may be back long before.
func (p *Peer) hasten(conn *grpc.ClientConn) {
	now := time.Now().UnixNano()
	if last := p.hastened.Load(); now-last > int64(time.Second) && p.hastened.CompareAndSwap(last, now) {
		conn.ResetConnectBackoff()
	}
}

// now returns the health, and a channel that is closed at its next change; both belong together.
func (p *Peer) now() (Health, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Health(), p.changed, p.closedError()
}

// blink is how long a change is waited for at a time: one that is undone at once may go by unseen.
const blink = 200 * time.Millisecond

func wait(ctx context.Context, changed <-chan struct{}) error {
	timer := time.NewTimer(blink)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// watch keeps the health in step with the connection, and restores the connection of a peer that is in use.
func (p *Peer) watch(ctx context.Context, conn *grpc.ClientConn) {
	var usesWhenReady int64
	for state := connectivity.Idle; conn.WaitForStateChange(ctx, state); {
		state = conn.GetState()
		switch state {
		case connectivity.Ready:
			usesWhenReady = p.uses.Load()
			p.set(Ready)
		case connectivity.TransientFailure:
			p.set(Down)
		case connectivity.Connecting:
			if p.Health() != Down { // it stays down until it is ready
				p.set(Connecting)
			}
		case connectivity.Idle:
			p.idle(conn, usesWhenReady)
		case connectivity.Shutdown:
			return
		}
	}
}

// idle decides about a peer that lost its connection, or has none yet: one that was used since it was last ready, or that could
// not be reached, is connected again.
func (p *Peer) idle(conn *grpc.ClientConn, usesWhenReady int64) {
	switch {
	case p.Health() == Down:
		conn.Connect()
	case p.Health() == Ready && p.uses.Load() != usesWhenReady:
		p.set(Connecting)
		conn.Connect()
	default:
		p.set(Idle)
	}
}

// set notes the health, and tells those who wait even if it is what it was: it may have been another in between.
func (p *Peer) set(h Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health.Store(int32(h))
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Peer) close() {
	p.mu.Lock()
	p.closed = true
	conn, stop := p.conn, p.stop
	p.mu.Unlock()
	if conn != nil {
		stop()
		_ = conn.Close() // it can only say that it is closed
		p.watched.Wait()
	}
	p.set(Down) // views from before may still have it
}

// Keepalive finds a frozen process or a lost host: a ping after Time without traffic, and the end of the connection when it is
// not answered within Timeout. Servers must allow it; see MinPing.
var Keepalive = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}

// MinPing is how often a server must let clients ping.
const MinPing = 5 * time.Second

// connectParams keep one attempt to about a second, so that a caller can go elsewhere, and bring a process back soon that
// restarts on its old address.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
	MinConnectTimeout: time.Second,
}

// dialer returns how peers are connected to. The options of the user come last and win.
func dialer(options []grpc.DialOption) func(addr string) (*grpc.ClientConn, error) {
	ours := []grpc.DialOption{
		grpc.WithContextDialer(dialContext),
		grpc.WithKeepaliveParams(Keepalive),
		grpc.WithConnectParams(connectParams),
		grpc.WithIdleTimeout(0), // the server reaps idle connections; one that is in use must not be resolved anew
		grpc.WithDisableServiceConfig(),
	}
	tcp := slices.Concat(ours, options)
	// A path is no name of a host.
	unix := slices.Concat(ours, []grpc.DialOption{grpc.WithAuthority("localhost")}, options)
	return func(addr string) (*grpc.ClientConn, error) {
		// gRPC reads a target as a URL: a path, or the zone of an IPv6 address, may have what means something else there.
		target := "passthrough:///" + url.PathEscape(addr)
		if strings.HasPrefix(addr, "unix:") {
			if conn, err := grpc.NewClient(target, unix...); err == nil {
				return conn, nil
			} // credentials that name the server allow no other name
		}
		return grpc.NewClient(target, tcp...)
	}
}

func dialContext(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, "tcp", addr)
}

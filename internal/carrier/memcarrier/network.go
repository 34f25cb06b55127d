// Package memcarrier is a carrier for tests that moves messages within a process, without gRPC. It
// shows what a carrier has to do, and that nothing outside of it depends on gRPC.
package memcarrier

import (
	"errors"
	"sync"

	"github.com/oslorpc/oslorpc/internal/intake"
)

// Network has processes at addresses, which can be killed, cut off and lost. Its zero value is
// ready for use. It is safe for concurrent use.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*host
}

// host is where a process takes messages in.
type host struct {
	addr     string
	intake   *intake.Intake
	capacity int64

	mu    sync.Mutex
	found chan struct{} // closed while messages pass
	conns map[*conn]bool
	dead  bool
}

// conn is the connection of a link to a process.
type conn struct {
	host   *host
	once   sync.Once
	broken chan struct{} // closed when nothing passes any more
}

var errRefused = errors.New("connection refused")

// Serve has a process take messages in at an address, in place of the process that was there.
// Capacity is how many messages it takes at a time on a connection; 0 for many.
func (n *Network) Serve(addr string, in *intake.Intake, capacity int) {
	h := &host{addr: addr, intake: in, capacity: int64(capacity), found: make(chan struct{}), conns: map[*conn]bool{}}
	close(h.found)
	if capacity == 0 {
		h.capacity = 1 << 30
	}
	n.Kill(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]*host{}
	}
	n.hosts[addr] = h
}

// at returns what is at an address, nil if nothing is.
func (n *Network) at(addr string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[addr]
}

// Kill ends the process at an address: its connections break, and new ones are refused.
func (n *Network) Kill(addr string) {
	if h := n.at(addr); h != nil {
		h.cut(true)
	}
}

// Reset breaks the connections to a process, which takes new ones.
func (n *Network) Reset(addr string) { n.at(addr).cut(false) }

// cut breaks all connections. It ends Lose.
func (h *host) cut(dead bool) {
	h.mu.Lock()
	conns := h.conns
	h.conns, h.dead = map[*conn]bool{}, h.dead || dead
	h.mu.Unlock()
	for c := range conns {
		c.close()
	}
	h.find()
}

// Lose makes nothing pass to or from a process, until Find.
func (n *Network) Lose(addr string) {
	h := n.at(addr)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = make(chan struct{})
}

// Find lets messages pass again, also the messages that were sent meanwhile.
func (n *Network) Find(addr string) { n.at(addr).find() }

func (h *host) find() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.found:
	default:
		close(h.found)
	}
}

// reachable returns a channel that is closed as soon as messages pass.
func (h *host) reachable() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.found
}

// isLost reports whether nothing passes.
func (h *host) isLost() bool {
	select {
	case <-h.reachable():
		return false
	default:
		return true
	}
}

// dial connects to an address. It waits while the process is lost, or until stop is closed.
func (n *Network) dial(addr string, stop <-chan struct{}) (*conn, error) {
	h := n.at(addr)
	if h == nil {
		return nil, errRefused
	}
	select {
	case <-h.reachable():
	case <-stop:
		return nil, errRefused
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return nil, errRefused
	}
	c := &conn{host: h, broken: make(chan struct{})}
	h.conns[c] = true
	return c, nil
}

// close breaks the connection.
func (c *conn) close() {
	c.once.Do(func() { close(c.broken) })
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	delete(c.host.conns, c)
}

func (c *conn) isBroken() bool {
	select {
	case <-c.broken:
		return true
	default:
		return false
	}
}

// pass returns when something passes over the connection, or false when it broke, or ended was
// closed.
func (c *conn) pass(ended <-chan struct{}) bool {
	select {
	case <-c.broken:
	case <-ended:
	case <-c.host.reachable():
		return !c.isBroken()
	}
	return false
}

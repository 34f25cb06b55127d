// Package memcarrier is a carrier for tests that passes messages within a process, without gRPC. It
// shows what a carrier must do, and that no other package depends on gRPC.
package memcarrier

import (
	"errors"
	"sync"

	"github.com/oslorpc/oslorpc/internal/intake"
)

// Network has processes at addresses. Tests can kill them, reset their connections, and cut them
// off. Its zero value is ready for use. It is safe for concurrent use.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*host
}

// host is the process at an address.
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

// Serve serves an intake at an address. It replaces the previous process there. Capacity is how
// many concurrent messages each connection allows; 0 for many.
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

// at returns the process at an address, or nil.
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

// Reset breaks the connections to a process. The process accepts new ones.
func (n *Network) Reset(addr string) { n.at(addr).cut(false) }

// cut breaks all connections. It also ends Lose.
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

// Lose cuts a process off: no message passes in either direction until Find.
func (n *Network) Lose(addr string) {
	h := n.at(addr)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = make(chan struct{})
}

// Find ends Lose. Messages that were sent meanwhile arrive.
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

// reachable returns a channel that is closed while messages pass.
func (h *host) reachable() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.found
}

// isLost reports whether the process is cut off.
func (h *host) isLost() bool {
	select {
	case <-h.reachable():
		return false
	default:
		return true
	}
}

// dial connects to an address. It blocks while the process is cut off, until stop is closed.
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

// pass waits until messages pass over the connection. It returns false if the connection broke, or
// ended was closed.
func (c *conn) pass(ended <-chan struct{}) bool {
	select {
	case <-c.broken:
	case <-ended:
	case <-c.host.reachable():
		return !c.isBroken()
	}
	return false
}

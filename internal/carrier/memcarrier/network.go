// Package memcarrier is a carrier for tests: a network in memory, without gRPC and without bytes on a
// wire. It shows that nothing but package grpccarrier depends on gRPC, and is the smallest example of a
// carrier.
package memcarrier

import (
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
)

// Network is a network within the test's process.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*host

	running sync.WaitGroup // messages at servers
}

var _ carriertest.Harness = (*Network)(nil)

// host is a process that serves.
type host struct {
	carriertest.Process

	conns map[*conn]bool
	// found is closed unless the host is lost.
	found chan struct{}
	lost  bool
}

// conn is a connection to a host.
type conn struct {
	host   *host
	broken chan struct{}
}

// New returns a network. What runs on it ends with the test.
func New(t *testing.T) *Network {
	t.Helper()
	n := &Network{hosts: map[string]*host{}}
	t.Cleanup(func() {
		n.mu.Lock()
		for addr := range n.hosts {
			n.kill(addr)
		}
		n.mu.Unlock()
		n.running.Wait()
	})
	return n
}

// Carrier implements [carriertest.Harness].
func (n *Network) Carrier(c carriertest.Config) carrier.Carrier { return newCarrier(n, c) }

// Serve implements [carriertest.Harness].
func (n *Network) Serve(addr string, p carriertest.Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kill(addr)
	found := make(chan struct{})
	close(found)
	n.hosts[addr] = &host{Process: p, conns: map[*conn]bool{}, found: found}
}

// Kill implements [carriertest.Harness].
func (n *Network) Kill(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kill(addr)
}

// kill is Kill with the lock held.
func (n *Network) kill(addr string) {
	if h := n.hosts[addr]; h != nil {
		h.reset()
		delete(n.hosts, addr)
	}
}

// Reset implements [carriertest.Harness].
func (n *Network) Reset(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr].reset()
}

// reset breaks the connections. The lock is held.
func (h *host) reset() {
	for c := range h.conns {
		delete(h.conns, c)
		close(c.broken)
	}
}

// Lose implements [carriertest.Harness].
func (n *Network) Lose(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[addr]; !h.lost {
		h.lost, h.found = true, make(chan struct{})
	}
}

// Find implements [carriertest.Harness].
func (n *Network) Find(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[addr]; h.lost {
		h.lost = false
		close(h.found)
	}
}

// connect returns a connection to an address. If the host there is lost, it returns what to wait for.
func (n *Network) connect(addr string) (c *conn, found <-chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[addr]
	switch {
	case h == nil:
		return nil, nil, errAbsent
	case h.lost:
		return nil, h.found, nil
	}
	c = &conn{host: h, broken: make(chan struct{})}
	h.conns[c] = true
	return c, nil, nil
}

// passes returns a channel that is closed while the network lets pass what is sent on a connection.
func (n *Network) passes(c *conn) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return c.host.found
}

// pass returns true when what is sent on a connection has arrived; false if the connection broke first.
func (n *Network) pass(c *conn) bool {
	select {
	case <-n.passes(c):
		return true
	case <-c.broken:
		return false
	}
}

func (c *conn) isBroken() bool { return isClosed(c.broken) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

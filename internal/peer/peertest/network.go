// Package peertest is a network within a process, for tests of what connects to peers. Its connections have no sockets, so
// that they work where time is faked, in a bubble of testing/synctest, too.
package peertest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"
)

// Network has hosts at some addresses; all other addresses refuse connections. Its zero value is ready for use. It is safe for
// concurrent use.
type Network struct {
	mu     sync.Mutex
	hosts  map[string]*host
	delays map[string]time.Duration
	dials  map[string]int
}

type host struct {
	listener *bufconn.Listener
	lost     atomic.Bool
}

// Listen listens at an address, in place of whoever did before.
func (n *Network) Listen(addr string) net.Listener {
	h := n.add(addr)
	return h.listener
}

func (n *Network) add(addr string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]*host{}
	}
	h := &host{listener: bufconn.Listen(256 << 10)}
	n.hosts[addr] = h
	return h
}

// Lose loses what is at an address, as if its cable were pulled: connecting takes until the caller's patience ends, and nothing
// passes through the connections that are there.
func (n *Network) Lose(addr string) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	if h == nil {
		h = n.add(addr)
	}
	h.lost.Store(true)
}

// Delay makes connecting to an address take so long.
func (n *Network) Delay(addr string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.delays == nil {
		n.delays = map[string]time.Duration{}
	}
	n.delays[addr] = d
}

// Dials returns how often somebody tried to connect to an address.
func (n *Network) Dials(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

// Options connect gRPC over the network, in clear.
func (n *Network) Options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(n.dial), grpc.WithTransportCredentials(insecure.NewCredentials()),
	}
}

func (n *Network) dial(ctx context.Context, addr string) (net.Conn, error) {
	h, delay := n.find(addr)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if h != nil && h.lost.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if h != nil {
		if conn, err := h.listener.DialContext(ctx); err == nil {
			return &line{conn, h}, nil
		}
	}
	return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
}

func (n *Network) find(addr string) (*host, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dials == nil {
		n.dials = map[string]int{}
	}
	n.dials[addr]++
	return n.hosts[addr], n.delays[addr]
}

// line is a connection to a host, which carries nothing once the host is lost.
type line struct {
	net.Conn
	host *host
}

func (l *line) Read(b []byte) (int, error) {
	for {
		n, err := l.Conn.Read(b)
		if err != nil || !l.host.lost.Load() {
			return n, err
		}
	}
}

func (l *line) Write(b []byte) (int, error) {
	if l.host.lost.Load() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

// Serve runs a gRPC server at an address until stop is called, which kills it. Register makes its services known; it may
// be nil.
func (n *Network) Serve(addr string, register func(grpc.ServiceRegistrar), options ...grpc.ServerOption) (stop func()) {
	pings := grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true})
	s := grpc.NewServer(append([]grpc.ServerOption{pings}, options...)...)
	if register != nil {
		register(s)
	}
	l := n.Listen(addr)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) }) // it ends when it is stopped
	return func() {
		s.Stop()
		serving.Wait()
	}
}

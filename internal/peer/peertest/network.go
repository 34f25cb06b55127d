// Package peertest is a network for tests of code that connects to peers. It has hosts at addresses
// of the test's choice, and gRPC servers on them.
package peertest

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/oslorpc/oslorpc/internal/memnet"
)

// Network has hosts at some addresses. All other addresses refuse connections. The zero value is
// ready for use. A Network is safe for concurrent use.
type Network struct {
	network memnet.Network

	mu     sync.Mutex
	hosts  map[string]*memnet.Host
	delays map[string]time.Duration
	dials  map[string]int
}

// Listen listens at an address and replaces the host that was there.
func (n *Network) Listen(addr string) net.Listener { return n.add(addr) }

func (n *Network) add(addr string) *memnet.Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]*memnet.Host{}
	}
	n.hosts[addr] = n.network.ListenAt(addr)
	return n.hosts[addr]
}

// Lose cuts off the host at an address, as if its cable were pulled. Connecting takes until the
// caller's context ends, and nothing passes through existing connections.
func (n *Network) Lose(addr string) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	if h == nil {
		h = n.add(addr)
	}
	h.Partition()
}

// Find reverses Lose. Data that was sent in the meantime then arrives.
func (n *Network) Find(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr].Heal()
}

// Delay makes connecting to an address take this long.
func (n *Network) Delay(addr string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.delays == nil {
		n.delays = map[string]time.Duration{}
	}
	n.delays[addr] = d
}

// Dials returns how often a connection to an address was attempted.
func (n *Network) Dials(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

// Options returns options that connect gRPC over the network, without TLS.
func (n *Network) Options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(n.Dial), grpc.WithTransportCredentials(insecure.NewCredentials()),
	}
}

// Dial connects to an address.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if delay := n.count(addr); delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return n.network.Dial(ctx, addr)
}

// count counts an attempt to connect, and returns its delay.
func (n *Network) count(addr string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dials == nil {
		n.dials = map[string]int{}
	}
	n.dials[addr]++
	return n.delays[addr]
}

// Serve runs a gRPC server at an address until stop is called, which ends the server and its
// connections. Register adds the services. It may be nil.
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

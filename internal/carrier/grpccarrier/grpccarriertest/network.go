// Package grpccarriertest is a network for tests whose processes use gRPC.
package grpccarriertest

import (
	"math"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/memnet"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/service"
)

// Network is a network within the test's process.
type Network struct {
	// Options and ServerOptions are the program's own options, for every carrier and every server.
	Options       []grpc.DialOption
	ServerOptions []grpc.ServerOption
	// Wrap wraps each carrier; nil for no wrapping.
	Wrap func(*grpccarrier.Carrier) carrier.Carrier
	// Resumes is true if messages survive the loss of a connection.
	Resumes bool

	network memnet.Network
	serving sync.WaitGroup

	mu        sync.Mutex
	processes map[string]*process
	servers   []*grpc.Server // all that ever served
}

// process is a serving process.
type process struct {
	server *grpc.Server
	host   *memnet.Host
}

var _ carriertest.Harness = (*Network)(nil)

// New returns a network. Its processes end with the test.
func New(t *testing.T) *Network {
	t.Helper()
	n := &Network{processes: map[string]*process{}}
	t.Cleanup(n.stop)
	return n
}

// Carrier implements [carriertest.Harness].
func (n *Network) Carrier(c carriertest.Config) carrier.Carrier {
	made := grpccarrier.New(grpccarrier.Config{
		Peers:  peer.Config{Dial: n.network.Dial, Options: n.Options},
		Caller: c.Caller, MaxSize: c.MaxSize, MaxHeader: c.MaxHeader,
	})
	if n.Wrap != nil {
		return n.Wrap(made)
	}
	return made
}

// Grace implements [carriertest.Resumer].
func (n *Network) Grace() time.Duration {
	if n.Resumes {
		return service.SessionGrace
	}
	return 0
}

// Serve implements [carriertest.Harness].
func (n *Network) Serve(addr string, p carriertest.Process) {
	services := service.New(p.Intake)
	options := []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: connection.MinPing, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.UnknownServiceHandler(services.Unknown),
	}
	if p.Capacity > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(p.Capacity))) //nolint:gosec // Tests give small ones.
	}
	s := grpc.NewServer(append(options, n.ServerOptions...)...)
	services.Register(s, len(n.ServerOptions) > 0)
	services.RegisterTyped(s)
	n.Kill(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.processes[addr] = &process{server: s}
	n.servers = append(n.servers, s)
	n.listen(addr)
}

// listen makes a process accept connections. The lock is held.
func (n *Network) listen(addr string) {
	p := n.processes[addr]
	p.host = n.network.ListenAt(addr)
	n.serving.Go(func() { _ = p.server.Serve(p.host) }) // it ends when its listener is closed
}

// at returns the process at an address, or nil.
func (n *Network) at(addr string) *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.processes[addr]
}

// Kill implements [carriertest.Harness].
func (n *Network) Kill(addr string) {
	if p := n.at(addr); p != nil {
		p.host.Kill()
	}
}

// Reset implements [carriertest.Harness].
func (n *Network) Reset(addr string) {
	n.mu.Lock()
	old := n.processes[addr].host
	n.listen(addr)
	n.mu.Unlock()
	old.Kill()
}

// Lose implements [carriertest.Harness].
func (n *Network) Lose(addr string) { n.at(addr).host.Partition() }

// Find implements [carriertest.Harness].
func (n *Network) Find(addr string) { n.at(addr).host.Heal() }

// stop ends all processes.
func (n *Network) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.processes {
		p.host.Kill()
	}
	for _, s := range n.servers {
		s.Stop()
	}
	n.serving.Wait()
}

package peer

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patient limits the wait for things that must happen soon.
const patient = 10 * time.Second

// process is a gRPC server on a socket. Its RPCs end at once, or when the test releases them if
// hold is set.
type process struct {
	addr    string
	server  *grpc.Server
	serving sync.WaitGroup
	running chan struct{} // receives one for each RPC that came
	release chan struct{} // closed to let RPCs end
}

// start runs a process at an address such as "127.0.0.1:0" or "unix:/path" until the test ends.
func start(t *testing.T, addr string, options ...grpc.ServerOption) *process {
	t.Helper()
	network := "tcp"
	if rest, found := cutUnix(addr); found {
		network, addr = "unix", rest
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{addr: l.Addr().String(), running: make(chan struct{}, 1000), release: make(chan struct{})}
	if network == "unix" {
		p.addr = "unix:" + p.addr
	}
	p.server = grpc.NewServer(append([]grpc.ServerOption{
		grpc.UnknownServiceHandler(p.handle),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: connection.MinPing, PermitWithoutStream: true}),
	}, options...)...)
	p.serving.Go(func() { _ = p.server.Serve(l) })
	t.Cleanup(p.kill)
	return p
}

func cutUnix(addr string) (string, bool) {
	const prefix = "unix:"
	if len(addr) < len(prefix) || addr[:len(prefix)] != prefix {
		return addr, false
	}
	return addr[len(prefix):], true
}

func (p *process) handle(_ any, stream grpc.ServerStream) error {
	p.running <- struct{}{}
	select {
	case <-p.release:
	case <-stream.Context().Done():
	}
	return stream.SendMsg(&emptypb.Empty{})
}

func (p *process) kill() {
	p.server.Stop()
	p.serving.Wait()
}

// call sends an RPC like a client, which holds the peer meanwhile.
func call(ctx context.Context, p *Peer, options ...grpc.CallOption) error {
	if !p.Acquire() {
		return errClosedPeer
	}
	defer p.Release()
	conn, err := p.Conn()
	if err != nil {
		return err
	}
	return conn.Invoke(ctx, "/test/Run", &emptypb.Empty{}, &emptypb.Empty{}, options...)
}

var errClosedPeer = errors.New("the peer is closed")

// pool returns a pool without TLS.
func pool(options ...grpc.DialOption) *Pool { return NewPool(Config{Options: options}) }

// get returns a new peer at an address. It is put back when the test ends.
func get(t *testing.T, addr string, options ...grpc.DialOption) *Peer {
	t.Helper()
	return getWith(t, addr, Config{Options: options})
}

// getWith is like get, with a configuration.
func getWith(t *testing.T, addr string, config Config) *Peer {
	t.Helper()
	all := NewPool(config)
	p := all.Get(carrier.Key{Addr: addr})
	t.Cleanup(func() { all.Put(p) })
	return p
}

// connect connects a peer.
func connect(t *testing.T, p *Peer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := p.Connect(ctx); err != nil {
		t.Fatal(err)
	}
}

// await waits until the health of a peer is one of want.
func await(t *testing.T, p *Peer, want ...carrier.Health) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for {
		h, changed, err := p.now()
		if slices.Contains(want, h) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the peer is %s, and did not become %v", h, want)
		}
	}
}

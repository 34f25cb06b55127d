package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

func TestHealthsInWords(t *testing.T) {
	for h, want := range map[carrier.Health]string{carrier.Ready: "ready", carrier.Idle: "idle", carrier.Busy: "busy", carrier.Full: "full", carrier.Connecting: "connecting", carrier.Silent: "silent", carrier.Down: "down"} {
		if got := h.String(); got != want {
			t.Errorf("health %d is %q, want %q", h, got, want)
		}
	}
}

func TestConnectMakesReady(t *testing.T) {
	p := get(t, start(t, "127.0.0.1:0").addr)
	if p.Health() != carrier.Idle {
		t.Errorf("a new peer is %s, want idle", p.Health())
	}
	connect(t, p)
	if p.Health() != carrier.Ready {
		t.Errorf("after Connect the peer is %s", p.Health())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Connect(canceled); err != nil {
		t.Errorf("Connect of a peer that is ready: %v", err)
	}
}

func TestConnIsMadeOnce(t *testing.T) {
	p := get(t, "127.0.0.1:1")
	first, err := p.Conn()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Conn(); again != first || err != nil {
		t.Errorf("another connection, or %v", err)
	}
	if p.Health() != carrier.Idle {
		t.Errorf("making it connected it: %s", p.Health())
	}
}

// unused returns an address where nothing listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestRefusedPortIsDownAtOnce(t *testing.T) {
	p := get(t, unused(t))
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := p.Connect(ctx); !errors.Is(err, errDown) || ctx.Err() != nil {
		t.Errorf("got %v, want %v", err, errDown)
	}
	if p.Health() != carrier.Down {
		t.Errorf("the peer is %s, want down", p.Health())
	}
}

// TestDownIsWaitedFor connects to a peer that is known to be down. The caller waits, since the peer
// may come back.
func TestDownIsWaitedFor(t *testing.T) {
	addr := unused(t)
	p := get(t, addr)
	if err := p.Connect(t.Context()); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while nothing listens: %v, want its deadline", err)
	}
	start(t, addr)
	connect(t, p)
}

// blackHole accepts connections and never sends anything, like the kernel for a stopped process.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestBlackHoleCostsWhatTheCallerGives(t *testing.T) {
	p := get(t, blackHole(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if p.Health() != carrier.Connecting {
		t.Errorf("the peer is %s, want connecting: it goes on in the background", p.Health())
	}
	await(t, p, carrier.Down)
}

// TestBriefConnections has a server that greets and closes the connection. Connect must neither
// hang nor retry without end.
func TestBriefConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	var accepted atomic.Int64
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // empty SETTINGS
			_, _ = io.ReadFull(conn, make([]byte, 24))           // the client's preface
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	p := get(t, l.Addr().String())
	const times = 20
	for range times {
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		err := p.Connect(ctx)
		if ctx.Err() != nil {
			t.Fatalf("Connect hung: %v", err)
		}
		cancel()
	}
	if n := accepted.Load(); n > times {
		t.Errorf("%d connections were made by %d Connects", n, times)
	}
}

func TestKilledProcessIsNoticedAndItsReturnToo(t *testing.T) {
	process := start(t, "127.0.0.1:0")
	close(process.release)
	p := get(t, process.addr)
	connect(t, p)
	for range 3 {
		if err := call(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		process.kill()
		await(t, p, carrier.Connecting, carrier.Down) // in use, so it is connected again
		process = start(t, process.addr)
		close(process.release)
		await(t, p, carrier.Ready)
	}
}

func TestUnusedConnectionMayEnd(t *testing.T) {
	process := start(t, "127.0.0.1:0", grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Millisecond}))
	p := get(t, process.addr)
	for range 2 { // it can be used again
		if err := p.Connect(t.Context()); err != nil && !errors.Is(err, errLost) { // it may end before that is seen
			t.Fatal(err)
		}
		await(t, p, carrier.Idle)
	}
}

func TestKilledProcessOfAnUnusedPeer(t *testing.T) {
	process := start(t, "127.0.0.1:0")
	p := get(t, process.addr)
	connect(t, p)
	process.kill()
	await(t, p, carrier.Idle)
}

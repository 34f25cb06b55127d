package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

func TestGetSharesByKey(t *testing.T) {
	all := pool()
	a, again := all.Get(carrier.Key{Addr: "127.0.0.1:1", BootID: "boot-1"}), all.Get(carrier.Key{Addr: "127.0.0.1:1", BootID: "boot-1"})
	reborn := all.Get(carrier.Key{Addr: "127.0.0.1:1", BootID: "boot-2"})
	elsewhere := all.Get(carrier.Key{Addr: "127.0.0.1:2", BootID: "boot-1"})
	if a != again {
		t.Error("one process has two peers")
	}
	if a == reborn || a == elsewhere || reborn == elsewhere {
		t.Error("another process has the same peer")
	}
	all.Put(a)
	if !again.Acquire() {
		t.Error("a peer was closed that is still in use")
	}
	again.Release()
	for _, p := range []*Peer{again, reborn, elsewhere} {
		all.Put(p)
	}
	if len(all.peers) != 0 {
		t.Errorf("%d peers are left in the pool", len(all.peers))
	}
	if anew := all.Get(a.key); anew == a || !anew.Acquire() {
		t.Error("a peer that was closed is handed out again")
	} else {
		anew.Release()
		all.Put(anew)
	}
}

// TestRunningCallsOutlastThePool checks that the connection to an instance that leaves lasts until
// the calls that it accepted have ended.
func TestRunningCallsOutlastThePool(t *testing.T) {
	process := start(t, "127.0.0.1:0")
	all := pool()
	p := all.Get(carrier.Key{Addr: process.addr})
	connect(t, p)
	conn, _ := p.Conn()
	const calls = 3
	results := make(chan error, calls)
	for range calls {
		go func() { results <- call(t.Context(), p) }()
	}
	for range calls {
		<-process.running
	}
	all.Put(p)
	if state := conn.GetState(); state != connectivity.Ready {
		t.Errorf("while calls run, the connection is %s", state)
	}
	close(process.release)
	for range calls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if state := conn.GetState(); state != connectivity.Shutdown {
		t.Errorf("after the calls, the connection is %s", state)
	}
	if err := call(t.Context(), p); !errors.Is(err, errClosedPeer) {
		t.Errorf("a call on a closed peer: %v", err)
	}
}

func TestClosedPeer(t *testing.T) {
	process := start(t, "127.0.0.1:0")
	for name, before := range map[string]func(*Peer){
		"never connected": func(*Peer) {},
		"connected":       func(p *Peer) { connect(t, p) },
	} {
		t.Run(name, func(t *testing.T) {
			all := pool()
			p := all.Get(carrier.Key{Addr: process.addr})
			before(p)
			all.Put(p)
			if p.Acquire() {
				t.Error("it can be acquired")
			}
			if _, err := p.Conn(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Conn: %v, want %v", err, net.ErrClosed)
			}
			if err := p.Connect(t.Context()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Connect: %v, want %v", err, net.ErrClosed)
			}
			if p.Health() != carrier.Down {
				t.Errorf("it is %s, want down: views from before may still have it", p.Health())
			}
		})
	}
}

// TestCloseEndsConnect has callers that wait for a peer when it is dropped, whether or not it is
// known to be down.
func TestCloseEndsConnect(t *testing.T) {
	for name, addr := range map[string]func(*testing.T) string{"connecting": blackHole, "down": unused} {
		t.Run(name, func(t *testing.T) {
			all := pool()
			p := all.Get(carrier.Key{Addr: addr(t)})
			if name == "down" {
				_ = p.Connect(t.Context())
			}
			ended := make(chan error)
			go func() { ended <- p.Connect(t.Context()) }()
			if name == "connecting" {
				await(t, p, carrier.Connecting)
			}
			all.Put(p)
			select {
			case err := <-ended:
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Connect: %v, want %v", err, net.ErrClosed)
				}
			case <-time.After(patient):
				t.Error("Connect waits for a peer that is closed")
			}
		})
	}
}

// TestConcurrentUse is for the race detector and the leak check. It does everything at once while
// processes die and return.
func TestConcurrentUse(t *testing.T) {
	all := pool()
	processes := []*process{start(t, "127.0.0.1:0"), start(t, "127.0.0.1:0")}
	keys := []carrier.Key{{Addr: processes[0].addr}, {Addr: processes[0].addr, BootID: "2"}, {Addr: processes[1].addr}, {Addr: unused(t)}}
	for _, p := range processes {
		close(p.release)
	}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 100 {
				use(t.Context(), all, keys[rand.IntN(len(keys))])
			}
		})
	}
	for range 5 {
		processes[0].kill()
		processes[0] = start(t, processes[0].addr)
		close(processes[0].release)
	}
	users.Wait()
	if len(all.peers) != 0 {
		t.Errorf("%d peers are left in the pool", len(all.peers))
	}
}

// use does everything that is allowed with a peer, and ignores the results.
func use(ctx context.Context, all *Pool, key carrier.Key) {
	p := all.Get(key)
	defer all.Put(p)
	soon, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	switch rand.IntN(4) {
	case 0:
		_ = p.Connect(soon)
	case 1:
		_ = call(soon, p)
	case 2:
		if p.Acquire() {
			defer p.Release()
			_ = p.Connect(soon)
		}
	default:
		_, _ = p.Conn()
		_ = p.Health()
	}
}

// TestRenew checks that the connection that led to another process closes when nothing runs on it,
// and that all users of the peer get the same new connection.
func TestRenew(t *testing.T) {
	process := start(t, "127.0.0.1:0")
	all := pool()
	old, also := all.Get(carrier.Key{Addr: process.addr}), all.Get(carrier.Key{Addr: process.addr})
	connect(t, old)
	conn, _ := old.Conn()
	running := make(chan error)
	go func() { running <- call(t.Context(), old) }()
	<-process.running
	renewed := all.Renew(old)
	if renewed == old || all.Get(old.key) != renewed || all.Renew(also) != renewed {
		t.Error("there is not one new peer for all")
	}
	if renewed.Health() != carrier.Idle {
		t.Errorf("the new peer is %s", renewed.Health())
	}
	if conn.GetState() != connectivity.Ready {
		t.Errorf("while a call runs, the old connection is %s", conn.GetState())
	}
	close(process.release)
	if err := <-running; err != nil {
		t.Error(err)
	}
	if state := conn.GetState(); state != connectivity.Shutdown {
		t.Errorf("after the call, the old connection is %s", state)
	}
	for range 3 {
		all.Put(renewed)
	}
	if len(all.peers) != 0 || renewed.Acquire() {
		t.Error("the new one was not given back")
	}
}

package oslorpc_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// relay forwards connections to another address. It can stop accepting connections without closing
// the existing ones, as when a process hangs.
type relay struct {
	addr string
	gate sync.RWMutex // held while nothing passes
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String()}
	var passing sync.WaitGroup
	t.Cleanup(passing.Wait)
	t.Cleanup(func() { _ = l.Close() })
	passing.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			passing.Go(func() { r.pass(near, far) })
			passing.Go(func() { r.pass(far, near) })
		}
	})
	return r
}

// pass forwards data until either end is closed.
func (r *relay) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		r.gate.RLock()
		r.gate.RUnlock() // it only waits
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Ping and Info of a process that hangs return an error that says so, over an existing connection
// and over a new one.
func TestQuestionsToAHungProcess(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	list, err := open(t).Instances(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	way := newRelay(t, list[0].Addr)
	i := list[0]
	i.Addr, i.BootID = way.addr, ""
	used, err := oslorpc.Open("static://agents/node1=" + way.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = used.Close() })
	if _, err := oslorpc.Call[string](t.Context(), used.Client(oslorpc.Target{Topic: "agents"}), "whoami", nil); err != nil {
		t.Fatal(err) // its connection stays
	}
	way.gate.Lock()
	t.Cleanup(way.gate.Unlock)
	want := "server node1 at " + way.addr + " accepts connections but sends nothing; its process may be hung"
	for name, transport := range map[string]*oslorpc.Transport{"used": used, "new": open(t)} {
		for question, ask := range map[string]func(context.Context) error{
			"ping": func(ctx context.Context) error { _, err := transport.Ping(ctx, i); return err },
			"info": func(ctx context.Context) error { _, err := transport.Info(ctx, i); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			err := ask(ctx)
			cancel()
			if err == nil {
				t.Fatalf("%s, %s: it was answered", name, question)
			}
			wantText(t, err, want)
			if e, is := err.(*oslorpc.Error); !is || e.Server != "node1" || e.Addr != way.addr { //nolint:errorlint // It is what is returned.
				t.Errorf("%s, %s: the error names no server: %+v", name, question, err)
			}
		}
	}
}

package carriertest

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// wantHealth waits until a link has the given health.
func (f *fixture) wantHealth(want carrier.Health) {
	f.Helper()
	for end := time.Now().Add(deadline); f.link.Health() != want && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := f.link.Health(); got != want {
		f.Fatalf("it is %v, not %v", got, want)
	}
}

// testHealth checks the health of a link from the first use until the process dies and comes back.
func testHealth(f *fixture) {
	if got := f.link.Health(); got != carrier.Idle {
		f.Errorf("it is %v before its first use", got)
	}
	f.connect()
	f.wantHealth(carrier.Ready)
	m := formOf(call)
	a := f.begin(f.Context(), m, m.request(wait, 0))
	f.Kill(address)
	_, _ = a.end()
	f.wantHealth(carrier.Down)
	if !f.link.Absent() {
		f.Error("nothing listens at the address, and the link does not know")
	}
	if kind, text := f.link.Explain(name, nil); kind != rpc.Unreachable || !strings.Contains(text, name) || !strings.Contains(text, address) {
		f.Errorf("it explains: %v: %s", kind, text)
	}
	f.serve(options{}, 0)
	f.connect()
	if f.link.Absent() || f.link.Health() != carrier.Ready {
		f.Errorf("it is %v", f.link.Health())
	}
}

// testSilentProcess makes a process silent while it has a message.
func testSilentProcess(f *fixture) {
	f.connect()
	m := formOf(call)
	a := f.begin(f.Context(), m, m.request(answer, 0))
	_, _ = a.end()
	f.Lose(address)
	a = f.begin(f.Context(), m, m.request(answer, 0))
	f.wantHealth(carrier.Silent)
	if kind, text := f.link.Explain(name, nil); kind != rpc.Unreachable || !strings.Contains(text, name) || !strings.Contains(text, address) {
		f.Errorf("it explains: %v: %s", kind, text)
	}
	ctx, cancel := context.WithTimeout(f.Context(), time.Second)
	defer cancel()
	if err := f.link.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Connect: %v", err)
	}
	f.Find(address)
	items, err := a.end()
	f.wantItems(items, err, "done")
	f.wantHealth(carrier.Ready)
}

// testBecameReady waits for a link to become ready.
func testBecameReady(f *fixture) {
	ready := f.carrier.BecameReady()
	select {
	case <-ready:
		f.Error("no link became ready")
	default:
	}
	f.connect()
	<-ready
}

// testConnectEnds checks that connecting a link stops when the context ends.
func testConnectEnds(f *fixture) {
	f.Lose(address)
	ctx, cancel := context.WithTimeout(f.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.link.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("got %v", err)
	}
	f.Find(address)
	f.wantHealth(carrier.Ready) // connecting went on
}

// testOutstanding checks the count of outstanding messages.
func testOutstanding(f *fixture, m *form) {
	f.connect()
	f.wantOutstanding(0)
	a := f.begin(f.Context(), m, m.request(wait, 0))
	if n := f.link.Outstanding(); n == 0 {
		f.Error("a message is on its way, and none is outstanding")
	}
	close(f.server.goOn)
	if _, err := a.end(); err != nil {
		f.Error(err)
	}
	f.wantOutstanding(0)
}

// testCapacity sends as many messages at a time as a process accepts. Streams count too.
func testCapacity(f *fixture) {
	f.serve(options{}, 2)
	f.connect()
	if got := f.link.Capacity(); got != 2 {
		f.Errorf("the capacity is %d", got)
	}
	m := formOf(multicall)
	stream, r := f.open(m, wait, 1)
	f.wantItem(stream, r, "0")
	m = formOf(call)
	a := f.begin(f.Context(), m, m.request(wait, 0))
	if got := f.link.Health(); got != carrier.Full {
		f.Errorf("it is %v", got)
	}
	begin := time.Now()
	err := f.link.Enter(f.Context(), time.Second)
	if !errors.Is(err, carrier.ErrFull) || time.Since(begin) != time.Second {
		f.Errorf("after %v: %v", time.Since(begin), err)
	}
	ctx, cancel := context.WithTimeout(f.Context(), time.Second)
	defer cancel()
	if err := f.link.Enter(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("got %v", err)
	}
	close(f.server.goOn)
	_, _ = a.end()
	stream.Close(nil)
	f.wantOutstanding(0)
}

// testWaitForAPlace waits until a message ends and leaves its place to another one.
func testWaitForAPlace(f *fixture) {
	f.serve(options{}, 1)
	f.connect()
	m := formOf(call)
	a := f.begin(f.Context(), m, m.request(wait, 0))
	entered := make(chan error, 1)
	go func() { entered <- f.link.Enter(f.Context(), time.Minute) }()
	synctest.Wait()
	select {
	case err := <-entered:
		f.Fatal("all places were in use: ", err)
	default:
	}
	close(f.server.goOn)
	_, _ = a.end()
	if err := <-entered; err != nil {
		f.Error(err)
	}
	f.wantOutstanding(1)
	f.link.Release()
	f.wantOutstanding(0)
}

// testSharedLink gets a link twice and puts it back once.
func testSharedLink(f *fixture) {
	f.connect()
	same := f.carrier.Get(carrier.Key{Addr: address, BootID: bootID})
	if same != f.link {
		f.Error("there are two links to one process")
	}
	other := f.carrier.Get(carrier.Key{Addr: address, BootID: "b2"})
	if other == f.link || other.Health() != carrier.Idle {
		f.Errorf("the link to another process is %v", other.Health())
	}
	f.carrier.Put(other)
	f.carrier.Put(same)
	m := formOf(call)
	items, err := f.send(f.Context(), m, m.request(answer, 0))
	f.wantItems(items, err, "done")
}

// testLastPut puts a link back while it has an outstanding message. The message goes on.
func testLastPut(f *fixture) {
	f.connect()
	for _, name := range []string{call, multicall} {
		m := formOf(name)
		a := f.begin(f.Context(), m, m.request(wait, 0))
		f.carrier.Put(f.link)
		close(f.server.goOn)
		items, err := a.end()
		f.wantItems(items, err, "done")
		if err := f.link.Enter(f.Context(), time.Second); !errors.Is(err, net.ErrClosed) {
			f.Errorf("got %v", err)
		}
		f.link = f.carrier.Get(carrier.Key{Addr: address, BootID: bootID})
		f.connect()
		f.server.goOn = make(chan struct{})
	}
}

// testRenew renews a link that has an outstanding message. The message goes on.
func testRenew(f *fixture) {
	f.connect()
	old := f.link
	m := formOf(call)
	a := f.begin(f.Context(), m, m.request(wait, 0))
	f.link = f.carrier.Renew(old)
	if f.link == old || f.link.Outstanding() != 0 {
		f.Error("it is the same link")
	}
	if f.carrier.Get(carrier.Key{Addr: address, BootID: bootID}) != f.link {
		f.Error("the old link is still given out")
	}
	f.connect()
	items, err := f.send(f.Context(), m, m.request(answer, 0))
	f.wantItems(items, err, "done")
	close(f.server.goOn)
	<-a.done
	f.wantItems(a.items, a.err, "done")
	if err := old.Enter(f.Context(), time.Second); !errors.Is(err, net.ErrClosed) {
		f.Errorf("got %v", err)
	}
}

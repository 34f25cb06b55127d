package oslorpctest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/memnet"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

// TB is the part of [testing.TB] that a fleet needs.
type TB interface {
	// Helper marks its caller as a helper of a test.
	Helper()
	// Cleanup calls f when the test has ended.
	Cleanup(f func())
	// Fatalf fails and ends the test.
	Fatalf(format string, args ...any)
}

// Fleet is a set of simulated processes within a test, which can send only to each other. Its
// methods are safe for concurrent use. But methods that can fail call TB.Fatalf, which must run on
// the test's goroutine.
type Fleet struct {
	t       TB
	url     string
	options []oslorpc.TransportOption
	network memnet.Network

	mu       sync.Mutex
	changed  chan struct{} // closed when there is a new message, or news of discovery arrived somewhere
	messages []Message
	views    map[*view]bool
	servers  []*Server
	opened   []*process
}

// fleets counts the fleets of the program, so that each has its own registry.
var fleets atomic.Uint64

// New returns an empty fleet. At the end of the test, its transports and servers are closed, and
// the contexts of methods that still run end. The options apply to all its transports, for example
// [oslorpc.WithErrorType]; options for listening and advertising have no effect. Unless an option
// says otherwise, nothing is logged, and servers stop without grace.
func New(t TB, options ...oslorpc.TransportOption) *Fleet {
	f := &Fleet{
		t: t, url: fmt.Sprintf("memory://oslorpctest-%d", fleets.Add(1)), changed: make(chan struct{}), views: map[*view]bool{},
	}
	f.options = append([]oslorpc.TransportOption{
		oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithStopGrace(0),
	}, options...)
	t.Cleanup(f.close)
	return f
}

// Transport returns a new transport in the fleet, for the code under test. It acts as a process of
// its own: it can send to the servers of the fleet, and serve. It need not be closed. The options
// come after the options of [New].
func (f *Fleet) Transport(options ...oslorpc.TransportOption) *oslorpc.Transport {
	f.t.Helper()
	return f.open(options).transport
}

// Client returns a client on a new transport.
func (f *Fleet) Client(target oslorpc.Target, options ...oslorpc.ClientOption) *oslorpc.Client {
	f.t.Helper()
	return f.open(nil).transport.Client(target, options...)
}

// open opens a transport in a new process.
func (f *Fleet) open(options []oslorpc.TransportOption) *process {
	f.t.Helper()
	p := &process{fleet: f, dead: make(chan struct{}), cut: make(chan struct{})}
	transport, err := oslorpc.Open(f.url, slices.Concat(f.options, options, []oslorpc.TransportOption{within(p)})...)
	if err != nil {
		f.t.Fatalf("oslorpctest: open a transport: %v", err)
	}
	p.transport = transport
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = append(f.opened, p)
	return p
}

// close ends all processes, the newest first.
func (f *Fleet) close() {
	f.mu.Lock()
	opened := slices.Clone(f.opened)
	f.mu.Unlock()
	for _, p := range slices.Backward(opened) {
		p.kill()
	}
}

// tell wakes the goroutines that wait for a change. The caller holds the lock.
func (f *Fleet) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// patience bounds two waits: for a change that usually takes moments, and for servers that finish
// the messages that they accepted.
const patience = 10 * time.Second

// await waits until done returns true. It returns false after [patience]. Done is called with the
// lock held.
func (f *Fleet) await(done func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		f.mu.Lock()
		ok, changed := done(), f.changed
		f.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// settle waits until all processes that watch an instance's topic have seen the instance appear,
// or, if there is false, disappear.
func (f *Fleet) settle(i oslorpc.Instance, there bool) {
	f.t.Helper()
	topic := registry.Topic{Exchange: i.Exchange, Name: i.Topic}
	known := f.await(func() bool {
		for v := range f.views {
			if v.topic == topic && v.ids[i.ID] != there {
				return false
			}
		}
		return true
	})
	if !known {
		f.t.Fatalf("oslorpctest: some process did not learn in time that server %q came or went", i.Server)
	}
}

package registrytest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// patience is how long the tests wait for a change. It only delays a failure, so it is generous.
const patience = 30 * time.Second

// fixture is the environment of one test: a way to open handles, and exchanges that no other test
// uses, since all tests may run against one registry at the same time.
type fixture struct {
	*testing.T
	suite    *suite
	exchange string
	other    string
}

func newFixture(t *testing.T, s *suite) *fixture {
	t.Helper()
	id := rand.Text()
	return &fixture{T: t, suite: s, exchange: "suite-" + id, other: "other-" + id}
}

// seen returns published instances as processes must see them (see [Seen]), sorted.
func (f *fixture) seen(published []rpc.Instance) []rpc.Instance {
	list := make([]rpc.Instance, len(published))
	for n, i := range published {
		list[n] = f.suite.seen(i)
	}
	registry.Sort(list)
	return list
}

func (f *fixture) ours(exchange string) bool { return exchange == f.exchange || exchange == f.other }

func (f *fixture) topic(name string) registry.Topic {
	return registry.Topic{Exchange: f.exchange, Name: name}
}

// process stands for one process: a handle, a boot id and an address.
type process struct {
	registry.Registry
	f            *fixture
	bootID, addr string
	closeOnce    sync.Once
}

var lastPort atomic.Int32

// process opens a handle. It is closed at the end of the test if the test did not close it.
func (f *fixture) process() *process {
	f.Helper()
	port := 20000 + lastPort.Add(1)
	p := &process{Registry: f.suite.open(f.T), f: f, bootID: rand.Text(), addr: fmt.Sprintf("127.0.0.1:%d", port)}
	f.Cleanup(p.close)
	return p
}

func (p *process) close() {
	p.closeOnce.Do(func() {
		if err := p.Close(context.Background()); err != nil {
			p.f.Errorf("Close: %v", err)
		}
	})
}

// instance returns a new instance of the process. Some instances have zones, and some do not.
func (p *process) instance(topic, server string) rpc.Instance {
	zone := map[string]string{"one": "zone 1, größe=;%2F", "host1": strings.Repeat("z", 255)}[server]
	return rpc.Instance{
		ID: rand.Text(), BootID: p.bootID, Exchange: p.f.exchange, Topic: topic, Server: server, Addr: p.addr,
		State:       rpc.StateActive,
		Implemented: []rpc.Implementation{{Version: rpc.Version{Major: 1, Minor: 4}}}, Sessions: server == "a", Zone: zone,
	}
}

func (p *process) publish(instances ...rpc.Instance) {
	p.f.Helper()
	ctx, cancel := context.WithTimeout(p.f.Context(), patience)
	defer cancel()
	if err := p.Publish(ctx, instances); err != nil {
		p.f.Fatalf("Publish of %d instances: %v", len(instances), err)
	}
}

// list returns the registry's instances in the exchanges of this test.
func (p *process) list() []rpc.Instance {
	p.f.Helper()
	ctx, cancel := context.WithTimeout(p.f.Context(), patience)
	defer cancel()
	all, err := p.List(ctx)
	if err != nil {
		p.f.Fatalf("List: %v", err)
	}
	all = slices.DeleteFunc(all, func(i rpc.Instance) bool { return !p.f.ours(i.Exchange) })
	registry.Sort(all)
	return all
}

// wantList waits until the registry lists exactly the published instances.
func (p *process) wantList(published ...rpc.Instance) {
	p.f.Helper()
	want := p.f.seen(published)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	got := p.list()
	for end := time.Now().Add(patience); !registry.Same(got, want) && time.Now().Before(end); got = p.list() {
		<-tick.C
	}
	if !registry.Same(got, want) {
		p.f.Fatalf("List after %s:\n%swant:\n%s", patience, show(got), show(want))
	}
}

// watcher records the updates of a watch, and fails the test if an update breaks the rules.
type watcher struct {
	f       *fixture
	topic   registry.Topic
	cancel  func()
	running atomic.Int32
	stopped atomic.Bool
	wake    chan struct{}

	mu    sync.Mutex
	known bool
	last  []rpc.Instance
	count int
	// failed is true between an error and the next list.
	failed bool
}

// watch watches a topic until the test ends or stop is called.
func (p *process) watch(topic registry.Topic) *watcher {
	w := &watcher{f: p.f, topic: topic, wake: make(chan struct{}, 1)}
	w.cancel = sync.OnceFunc(p.Watch(topic, w.notify))
	p.f.Cleanup(w.stop)
	return w
}

func (w *watcher) stop() {
	w.cancel()
	w.stopped.Store(true)
	if w.running.Load() != 0 {
		w.f.Errorf("watch of %v: notify was running when stop returned", w.topic)
	}
}

func (w *watcher) notify(u registry.Update) {
	if w.running.Add(1) != 1 {
		w.f.Errorf("watch of %v: notify was called while it ran", w.topic)
	}
	defer w.running.Add(-1)
	if w.stopped.Load() {
		w.f.Errorf("watch of %v: notify was called after stop", w.topic)
	}
	w.record(u)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) record(u registry.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if u.Err != nil {
		w.failed = true
		w.f.Logf("watch of %v: %v", w.topic, u.Err)
		return
	}
	now := sorted(u.Instances)
	if w.known && !w.failed && !u.Reset && registry.Same(w.last, now) {
		w.f.Errorf("watch of %v: an update that changes nothing:\n%s", w.topic, show(now))
	}
	for _, i := range now {
		if i.Exchange != w.topic.Exchange || i.Topic != w.topic.Name {
			w.f.Errorf("watch of %v: got an instance of another topic: %+v", w.topic, i)
		}
	}
	w.known, w.failed, w.last = true, false, now
	// The slice belongs to this watcher: other watchers must not see that it is cleared.
	clear(u.Instances)
}

// updates returns the number of updates.
func (w *watcher) updates() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// want waits until the last update has exactly the published instances.
func (w *watcher) want(published ...rpc.Instance) {
	w.f.Helper()
	want := w.f.seen(published)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !w.has(want) {
		select {
		case <-w.wake:
		case <-timeout.C:
			w.f.Fatalf("watch of %v after %s:\n%swant:\n%s", w.topic, patience, w, show(want))
		}
	}
}

func (w *watcher) has(want []rpc.Instance) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known && registry.Same(w.last, want)
}

// String returns the last update as text.
func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return "  no update\n"
	}
	return show(w.last)
}

func sorted(instances []rpc.Instance) []rpc.Instance {
	instances = slices.Clone(instances)
	registry.Sort(instances)
	return instances
}

func show(instances []rpc.Instance) string {
	if len(instances) == 0 {
		return "  none\n"
	}
	var text strings.Builder
	for _, i := range instances {
		fmt.Fprintf(&text, "  %+v\n", i)
	}
	return text.String()
}

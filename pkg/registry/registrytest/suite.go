// Package registrytest has the tests that every registry must pass if processes can publish in it.
package registrytest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var tests = []struct {
	name string
	run  func(f *fixture)
}{
	{"published instances are listed and watched", testPublish},
	{"a topic without instances", testEmptyTopic},
	{"state", testState},
	{"implemented interfaces", testImplemented},
	{"replace", testReplace},
	{"withdraw and return", testWithdraw},
	{"two processes on one topic", testTwoProcesses},
	{"many topics in one process", testManyTopics},
	{"many instances in one process", testManyInstances},
	{"exchanges isolate", testExchanges},
	{"odd names", testOddNames},
	{"stop", testStop},
	{"stop waits for notify", testStopWaits},
	{"concurrent use", testConcurrent},
	{"close withdraws", testCloseWithdraws},
	{"close ends watches", testCloseEndsWatches},
	{"watchers own their slices", testOwnSlices},
}

// Option changes what [Suite] expects of a registry.
type Option func(*suite)

// suite is the configuration of one run of [Suite].
type suite struct {
	open func(t *testing.T) registry.Registry
	seen func(rpc.Instance) rpc.Instance
}

// Seen is for a registry that changes instances on purpose, such as a gateway that replaces their
// addresses. Of returns a published instance as all processes must see it, including the publisher.
// Without this option, they must see exactly what was published. All tests run in any case.
func Seen(of func(published rpc.Instance) rpc.Instance) Option {
	return func(s *suite) { s.seen = of }
}

// Suite tests a registry. Each call of open must return another handle for the same registry, as
// another process would have. The suite closes the handles. Tests run in parallel, each in its own
// exchanges, so that they can share a server. To detect leaked goroutines of a registry, use a
// package such as go.uber.org/goleak in TestMain.
func Suite(t *testing.T, open func(t *testing.T) registry.Registry, options ...Option) {
	t.Helper()
	s := suite{open: open, seen: func(i rpc.Instance) rpc.Instance { return i }}
	for _, o := range options {
		o(&s)
	}
	// The group ends when its parallel tests have ended, so that the caller may stop its server
	// after the suite.
	t.Run("suite", func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(newFixture(t, &s))
			})
		}
	})
}

func testPublish(f *fixture) {
	a, b := f.process(), f.process()
	before, own := b.watch(f.topic("compute")), a.watch(f.topic("compute"))
	before.want()
	i := a.instance("compute", "host1")
	a.publish(i)
	before.want(i)
	own.want(i)
	a.wantList(i)
	b.wantList(i)
	b.watch(f.topic("compute")).want(i)
	f.process().wantList(i)
}

func testEmptyTopic(f *fixture) {
	a, b := f.process(), f.process()
	b.watch(f.topic("nobody")).want()
	a.publish(a.instance("somebody", "host1"))
	b.watch(f.topic("somebody"))
	b.watch(f.topic("nobody")).want()
}

func testState(f *fixture) {
	a, b := f.process(), f.process()
	w := b.watch(f.topic("compute"))
	i := a.instance("compute", "host1")
	for _, state := range []rpc.State{rpc.StateHeld, rpc.StateActive, rpc.StateDraining, "from a later version"} {
		i.State = state
		a.publish(i)
		w.want(i)
		b.wantList(i)
	}
}

func testImplemented(f *fixture) {
	a, b := f.process(), f.process()
	w := b.watch(f.topic("compute"))
	i := a.instance("compute", "host1")
	for _, implemented := range [][]rpc.Implementation{
		{{Version: rpc.Version{Major: 1}}},
		{{Version: rpc.Version{Major: 1, Minor: 1}}},
		{{Version: rpc.Version{Major: 2, Minor: 10, Revision: 3}}, {Version: rpc.Version{Major: 1, Minor: 4294967295}}},
		{{Namespace: "control", Version: rpc.Version{Major: 1}}, {Namespace: "a, b=ä;%2F/ \"", Version: rpc.Version{Major: 1}}},
		manyImplemented(),
		nil,
	} {
		i.Implemented = implemented
		a.publish(i)
		w.want(i)
		b.wantList(i)
	}
}

// manyImplemented returns more interfaces than fit into one short field, as Neutron agents and Nova
// conductors have.
func manyImplemented() []rpc.Implementation {
	all := make([]rpc.Implementation, 40)
	for n := range all {
		all[n] = rpc.Implementation{Namespace: fmt.Sprintf("a-long-name-of-an-interface-%d", n), Version: rpc.Version{Major: 1}}
	}
	return all
}

func testReplace(f *fixture) {
	a, b := f.process(), f.process()
	w := b.watch(f.topic("compute"))
	one, two, three := a.instance("compute", "one"), a.instance("compute", "two"), a.instance("compute", "three")
	a.publish(one, two)
	w.want(one, two)
	a.publish(two, three)
	w.want(two, three)
	b.wantList(two, three)
	a.publish(two, three)
	moved := one
	moved.Topic = "moved"
	a.publish(moved)
	b.watch(f.topic("moved")).want(moved)
	w.want()
	b.wantList(moved)
}

func testWithdraw(f *fixture) {
	a, b := f.process(), f.process()
	a.publish()
	w := b.watch(f.topic("compute"))
	i := a.instance("compute", "host1")
	for range 2 {
		a.publish(i)
		w.want(i)
		a.publish()
		w.want()
		b.wantList()
	}
}

func testTwoProcesses(f *fixture) {
	a, b, c := f.process(), f.process(), f.process()
	w := c.watch(f.topic("compute"))
	one, two := a.instance("compute", "one"), b.instance("compute", "two")
	sameName := b.instance("compute", "one")
	a.publish(one)
	b.publish(two, sameName)
	w.want(one, two, sameName)
	c.wantList(one, two, sameName)
	a.publish()
	w.want(two, sameName)
	b.publish(sameName)
	w.want(sameName)
	c.wantList(sameName)
}

func testManyTopics(f *fixture) {
	a, b := f.process(), f.process()
	const topics = 15
	instances, watchers := make([]rpc.Instance, topics), make([]*watcher, topics)
	for n := range topics {
		name := fmt.Sprintf("topic-%d", n)
		instances[n], watchers[n] = a.instance(name, "host1"), b.watch(f.topic(name))
	}
	a.publish(instances...)
	for n, w := range watchers {
		w.want(instances[n])
	}
	b.wantList(instances...)
	a.publish(instances[1:]...)
	watchers[0].want()
	for n, w := range watchers[1:] {
		w.want(instances[n+1])
	}
}

// testManyInstances publishes instances one by one, as servers start, and withdraws them together.
func testManyInstances(f *fixture) {
	a, b := f.process(), f.process()
	w := b.watch(f.topic("compute"))
	const many = 60
	instances := make([]rpc.Instance, many)
	for n := range many {
		instances[n] = a.instance("compute", fmt.Sprint("host", n))
		a.publish(instances[:n+1]...)
	}
	w.want(instances...)
	b.wantList(instances...)
	for n := range many {
		if n%2 == 0 {
			instances[n].State = rpc.StateDraining
		}
	}
	a.publish(instances...)
	w.want(instances...)
	a.publish()
	w.want()
	a.publish(instances...)
	w.want(instances...)
	b.wantList(instances...)
}

func testExchanges(f *fixture) {
	a, b := f.process(), f.process()
	here, there := a.instance("compute", "host1"), a.instance("compute", "host1")
	there.Exchange = f.other
	w, other := b.watch(f.topic("compute")), b.watch(registry.Topic{Exchange: f.other, Name: "compute"})
	a.publish(here, there)
	w.want(here)
	other.want(there)
	b.wantList(here, there)
	a.publish(there)
	w.want()
	other.want(there)
}

func testOddNames(f *fixture) {
	a, b := f.process(), f.process()
	long := strings.Repeat("x", 254)
	names := []string{
		"Compute", "compute", "COMPUTE", "compute.host1", "compute_host1", "compute-host1", "q-agent-notifier-port-update",
		"a/b", "a//b", "/", "..", ".", "a b", " ", "a\\b", "a:b", "a=b", "a,b", "a;b", "a%2Fb", "a+b", "a&b", "a?b", "a#b", `a"b'`,
		"größe", "gro\u0308ße", "\u4e3b\u673a", "🙂", "-", "_", "*", "${x}", "<x>", "x", long + "a", long + "b", strings.Repeat("é", 127),
	}
	instances := make([]rpc.Instance, len(names))
	for n, name := range names {
		instances[n] = a.instance(name, name)
	}
	a.publish(instances...)
	for _, i := range instances {
		b.watch(f.topic(i.Topic)).want(i)
	}
	b.wantList(instances...)
	b.watch(f.topic("cOMPUTE")).want()
}

func testStop(f *fixture) {
	a, b := f.process(), f.process()
	stopped, stays := b.watch(f.topic("compute")), b.watch(f.topic("compute"))
	stopped.want()
	stopped.stop()
	before := stopped.updates()
	i := a.instance("compute", "host1")
	a.publish(i)
	stays.want(i)
	b.watch(f.topic("compute")).want(i)
	if after := stopped.updates(); after != before {
		f.Errorf("%d updates after stop", after-before)
	}
	// A watch can be stopped before it has reported anything.
	b.watch(f.topic("other")).stop()
}

func testStopWaits(f *fixture) {
	a := f.process()
	entered, stopping := make(chan struct{}), make(chan struct{})
	var enter sync.Once
	var ran atomic.Bool
	stop := a.Watch(f.topic("compute"), func(registry.Update) {
		enter.Do(func() { close(entered) })
		<-stopping
		for range 1000 {
			runtime.Gosched()
		}
		ran.Store(true)
	})
	<-entered
	close(stopping)
	stop()
	if !ran.Load() {
		f.Error("stop returned while notify was running")
	}
}

func testConcurrent(f *fixture) {
	a, b, reader := f.process(), f.process(), f.process()
	one, two := a.instance("compute", "one"), b.instance("compute", "two")
	stays := reader.watch(f.topic("compute"))
	var wg sync.WaitGroup
	wg.Go(func() { flip(a, one) })
	wg.Go(func() { flip(b, two) })
	for range 4 {
		wg.Go(func() {
			for range 10 {
				reader.watch(f.topic("compute")).stop()
				a.watch(f.topic("compute")).stop()
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			if _, err := reader.List(f.Context()); err != nil {
				f.Errorf("List: %v", err)
			}
		}
	})
	wg.Wait()
	stays.want(one, two)
	reader.wantList(one, two)
}

// flip changes an instance a few times, and then restores it.
func flip(p *process, i rpc.Instance) {
	held := i
	held.State = rpc.StateHeld
	for range 10 {
		for _, i := range []rpc.Instance{held, i} {
			if err := p.Publish(p.f.Context(), []rpc.Instance{i}); err != nil {
				p.f.Errorf("Publish: %v", err)
			}
		}
	}
}

func testCloseWithdraws(f *fixture) {
	a, b := f.process(), f.process()
	w := b.watch(f.topic("compute"))
	one, two := a.instance("compute", "one"), b.instance("compute", "two")
	a.publish(one, a.instance("other", "one"))
	b.publish(two)
	w.want(one, two)
	a.close()
	w.want(two)
	b.wantList(two)
}

func testCloseEndsWatches(f *fixture) {
	a, b, c := f.process(), f.process(), f.process()
	ended, stays := b.watch(f.topic("compute")), c.watch(f.topic("compute"))
	ended.want()
	b.watch(f.topic("another"))
	b.close()
	before := ended.updates()
	i := a.instance("compute", "host1")
	a.publish(i)
	stays.want(i)
	if after := ended.updates(); after != before {
		f.Errorf("%d updates after Close", after-before)
	}
	// Programs stop their watches when they end, which may be after Close.
	ended.stop()
}

// testOwnSlices checks that each watch gets its own slice: each watcher clears the slices that it
// receives, so a shared one would make the other watcher fail.
func testOwnSlices(f *fixture) {
	a, b := f.process(), f.process()
	first, second := b.watch(f.topic("compute")), b.watch(f.topic("compute"))
	i, j := a.instance("compute", "one"), a.instance("compute", "two")
	a.publish(i, j)
	first.want(i, j)
	second.want(i, j)
	listed, err := b.List(f.Context())
	if err != nil {
		f.Fatalf("List: %v", err)
	}
	clear(listed)
	b.wantList(i, j)
	b.watch(f.topic("compute")).want(i, j)
	j.State = rpc.StateDraining
	a.publish(i, j)
	first.want(i, j)
	second.want(i, j)
	a.watch(f.topic("compute")).want(i, j)
}

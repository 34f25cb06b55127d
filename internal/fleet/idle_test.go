package fleet

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestIdleTopicsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		network := registry.Topic{Exchange: "openstack", Name: "network"}
		used := w.fleet.Topic(network)
		w.registry.list(instance("a"))
		p := peerOf(w.entry(t, "a"))
		for range 2 * idleTime / time.Minute {
			used.Now()
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if got := w.registry.watched(); !slices.Equal(got, []registry.Topic{network}) {
			t.Errorf("%v are watched, want what is used", got)
		}
		if !w.topic.Closed() || used.Closed() {
			t.Errorf("closed are the idle one: %v, the used one: %v", w.topic.Closed(), used.Closed())
		}
		if p.Acquire() {
			t.Error("the idle topic keeps its peers")
		}
		if w.fleet.Topic(network) != used || w.fleet.Topic(compute) == w.topic {
			t.Error("the fleet hands out a topic that ended, or another than the one that is used")
		}
	})
}

func TestTopicIsWatchedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, use := range []func(){func() { w.topic.Now() }, func() { _, _, _ = w.topic.View(brief(t)) }} {
			w.registry.list()
			use()
			time.Sleep(idleTime)
			synctest.Wait()
			if w.topic.Closed() {
				t.Fatal("the watch ended before its time")
			}
		}
	})
}

// TestEndedTopicIsWatchedAgain checks that a caller that kept a topic need not ask for another one.
func TestEndedTopicIsWatchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		time.Sleep(3 * idleTime)
		synctest.Wait()
		if !w.topic.Closed() || w.topic.Now() != nil {
			t.Fatal("the topic did not end")
		}
		time.AfterFunc(time.Second, func() { w.registry.list(instance("b")) })
		v, changed, err := w.topic.View(brief(t))
		if err != nil || len(v.Entries()) != 1 || v.Entries()[0].ID != "b" {
			t.Fatalf("got %v, %v", v, err)
		}
		w.registry.list()
		select {
		case <-changed:
		default:
			t.Error("its changes are not told")
		}
	})
}

// TestWaitingOutlastsTheWatch waits for a registry for so long that the topic counts as idle.
func TestWaitingOutlastsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.AfterFunc(5*idleTime, func() { w.registry.list(instance("a")) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if v, _, err := w.topic.View(ctx); err != nil || len(v.Entries()) != 1 {
			t.Errorf("got %v, %v", v, err)
		}
	})
}

// TestUnreadableTopicIsKept checks that a topic is kept while the registry is away, since its
// contents could not be read again.
func TestUnreadableTopicIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		w.registry.fail(errAway)
		time.Sleep(24 * time.Hour)
		if w.topic.Closed() {
			t.Fatal("the topic ended")
		}
		w.expect(t, "a day later", []string{"a"}, []string{"a"})
		w.registry.list(instance("a"))
		time.Sleep(3 * idleTime)
		synctest.Wait()
		if !w.topic.Closed() {
			t.Error("the topic is kept after the registry came back")
		}
	})
}

func TestClosedFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		e := w.entry(t, "a")
		unread := w.fleet.Topic(registry.Topic{Exchange: "openstack", Name: "network"})
		waiting := make(chan error)
		go func() {
			_, _, err := unread.View(context.Background())
			waiting <- err
		}()
		synctest.Wait()
		w.fleet.Close()
		w.fleet.Close()
		if err := <-waiting; !errors.Is(err, rpc.Invalid) {
			t.Errorf("who waited got %v", err)
		}
		if len(w.registry.watched()) != 0 {
			t.Errorf("%v are watched", w.registry.watched())
		}
		for name, topic := range map[string]*Topic{"before": w.topic, "after": w.fleet.Topic(compute)} {
			_, _, err := topic.View(t.Context())
			if !errors.Is(err, rpc.Invalid) || !rpc.SafeToRetry(err) {
				t.Errorf("a topic from %s: %v", name, err)
			}
			if topic.Now() != nil || !topic.Closed() {
				t.Errorf("a topic from %s has a view", name)
			}
			topic.Gone(e)
			topic.update(registry.Update{})
			if topic.Now() != nil {
				t.Errorf("a topic from %s has a view again", name)
			}
		}
		started := w.registry.started
		time.Sleep(time.Hour)
		if w.registry.started != started {
			t.Error("a fleet that is closed watches")
		}
	})
}

// TestCloseWhileMembersLinger checks that no timer touches a closed topic.
func TestCloseWhileMembersLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		w.registry.list()
		w.fleet.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.topic.Now() != nil {
			t.Error("it has a view again")
		}
	})
}

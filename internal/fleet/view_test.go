package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/discovery/memory"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestFirstViewIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if w.topic.Now() != nil {
			t.Error("there is a view before the registry said anything")
		}
		begin := time.Now()
		time.AfterFunc(time.Second, func() { w.registry.fail(errAway) })
		time.AfterFunc(3*time.Second, func() { w.registry.list(instance("a")) })
		v, _, err := w.topic.View(brief(t))
		if err != nil || time.Since(begin) != 3*time.Second {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
		if w.topic.Now() != v {
			t.Error("Now and View differ")
		}
		w.expect(t, "at first", []string{"a"}, []string{"a"})
	})
}

func TestEmptyViewIsAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list()
		if v, _, err := w.topic.View(t.Context()); err != nil || len(v.Entries()) != 0 {
			t.Errorf("got %v, %v", v, err)
		}
	})
}

func TestUnreadableRegistry(t *testing.T) {
	tests := map[string]struct {
		before func(*handle)
		reason string
	}{
		"it says nothing":           {func(*handle) {}, ""},
		"it fails":                  {func(r *handle) { r.fail(errAway) }, errAway.Error()},
		"it fails in several ways":  {func(r *handle) { r.fail(errors.New("x")); r.fail(errAway) }, errAway.Error()},
		"it fails while waited for": {func(r *handle) { time.AfterFunc(time.Second, func() { r.fail(errAway) }) }, errAway.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				tt.before(w.registry)
				begin := time.Now()
				_, _, err := w.topic.View(brief(t))
				if took := time.Since(begin); took != 10*time.Second {
					t.Errorf("it took %v", took)
				}
				kind := rpc.Unreachable
				if tt.reason == "" {
					kind = rpc.Timeout
				}
				if !errors.Is(err, kind) || !errors.Is(err, context.DeadlineExceeded) || !rpc.SafeToRetry(err) {
					t.Errorf("got %#v", err)
				}
				if err == nil || !strings.Contains(err.Error(), tt.reason) {
					t.Errorf("%q does not say %q", err, tt.reason)
				}
			})
		})
	}
}

func TestErrorKeepsTheLastView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		v, changed, _ := w.topic.View(t.Context())
		w.registry.fail(errAway)
		again, _, err := w.topic.View(t.Context())
		if again != v || err != nil {
			t.Errorf("got another view, or %v", err)
		}
		time.Sleep(time.Hour)
		w.expect(t, "an hour later", []string{"a"}, []string{"a"})
		select {
		case <-changed:
			t.Error("an error counts as a change")
		default:
		}
	})
}

func TestChangesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		for _, step := range []struct {
			what string
			do   func()
		}{
			{"one joins", func() { w.registry.list(instance("a"), instance("b")) }},
			{"one says that it is not there", func() { w.topic.Gone(w.entry(t, "a")) }},
			{"the fleet closes", w.fleet.Close},
		} {
			_, changed, err := w.topic.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			step.do()
			select {
			case <-changed:
			default:
				t.Errorf("%s: no watcher is told", step.what)
			}
		}
	})
}

func TestEntriesKeepTheirOrderAndTheirPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, c := instance("a"), instance("b"), instance("c")
		w.registry.list(c, a, b)
		first := slices.Clone(w.topic.Now().Entries())
		held := b
		held.State = rpc.StateHeld
		w.registry.list(b, held, a, c) // the last word counts
		second := w.topic.Now().Entries()
		if !slices.Equal(w.listed(), []string{"a", "b", "c"}) {
			t.Errorf("the order is %v", w.listed())
		}
		if first[0] != second[0] || first[2] != second[2] {
			t.Error("an entry was replaced that did not change")
		}
		if first[1] == second[1] || first[1].Link != second[1].Link || second[1].State != rpc.StateHeld || first[1].State != rpc.StateActive {
			t.Errorf("an entry that changed is %v", second[1])
		}
	})
}

func TestServersOfAProcessShareAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		same := func(i *rpc.Instance) { i.BootID, i.Addr = "boot", "addr" }
		reborn := func(i *rpc.Instance) { i.BootID, i.Addr = "boot-2", "addr" }
		w.registry.list(instance("a", same), instance("b", same), instance("c", reborn))
		entries := w.topic.Now().Entries()
		if entries[0].Link != entries[1].Link || entries[0].Link == entries[2].Link {
			t.Error("the peers do not belong to the processes")
		}
		w.registry.list(instance("b", same))
		time.Sleep(lingerTime + time.Second)
		if p := peerOf(entries[1]); !p.Acquire() {
			t.Error("the peer was closed when one of its instances left")
		} else {
			p.Release()
		}
	})
}

func TestStaticAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		at := func(addr string) rpc.Instance {
			return rpc.Instance{Exchange: compute.Exchange, Topic: compute.Name, Addr: addr}
		}
		w.registry.list(at("x:1"), at("x:2"), at("x:1"))
		if n := len(w.topic.Now().Entries()); n != 2 {
			t.Errorf("two addresses, one given twice, make %d entries", n)
		}
		w.topic.Gone(w.topic.Now().Entries()[0])
		if n := len(w.topic.Now().Entries()); n != 2 {
			t.Errorf("an address that may be served later was taken out: %d are left", n)
		}
	})
}

// TestConcurrentUse is for the race detector and the leak check, with a real registry.
func TestConcurrentUse(t *testing.T) {
	u, _ := url.Parse("memory://" + t.Name())
	known, err := memory.Open(u)
	if err != nil {
		t.Fatal(err)
	}
	f := New(known, grpccarrier.New(grpccarrier.Config{}), "", newWorld(t).fleet.outages.log)
	topics := []registry.Topic{compute, {Exchange: "openstack", Name: "network"}}
	var users sync.WaitGroup
	users.Go(func() {
		for n := range 200 {
			var all []rpc.Instance
			for i := range n % 7 {
				all = append(all, instance(fmt.Sprint(n, i)), instance(fmt.Sprint("stays", i)))
			}
			if err := known.Publish(t.Context(), all); err != nil {
				t.Error(err)
			}
		}
	})
	for n := range 4 {
		users.Go(func() {
			for turn := range uint64(500) {
				topic := f.Topic(topics[n%2])
				v, _, err := topic.View(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if e, verdict := v.Any(route.Query{}, turn, &route.Tried{}); verdict == route.Found && turn%50 == 0 {
					topic.Gone(e)
				}
				topic.Recent("host-stays0")
				topic.Now()
				topic.Closed()
			}
		})
	}
	users.Wait()
	f.Close()
	if err := known.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

package fleet

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// pass lets time pass and keeps the topic from becoming idle meanwhile.
func (w *world) pass(d time.Duration) {
	for ; d > time.Minute; d -= time.Minute {
		w.topic.Now()
		time.Sleep(time.Minute)
	}
	w.topic.Now()
	time.Sleep(d)
	synctest.Wait()
}

func TestVanishedCountsWhileConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("met"), instance("never-met"))
		kill := w.connect(t, "met")
		w.registry.list()
		w.expect(t, "when both vanished", []string{"met", "never-met"}, []string{"met"})
		kill()
		synctest.Wait()
		w.expect(t, "when the connection is lost as well", []string{"met", "never-met"}, none())
		w.pass(lingerTime)
		w.expect(t, "after their time", none(), none())
	})
}

// pinged is a process that answers pings about its instances.
type pinged struct {
	pb.UnimplementedIntrospectionServiceServer
	stops atomic.Bool
	asked atomic.Int64
}

func (p *pinged) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	p.asked.Add(1)
	if p.stops.Load() {
		return nil, rpcstatus.Encode(refusal.New(refusal.Stopping), nil).Err()
	}
	return &pb.PingResponse{}, nil
}

// If a registry no longer lists an instance, but the instance itself says that it is there, the
// instance counts.
func TestVanishedIsKeptWhileItSaysThatItIsThere(t *testing.T) {
	for name, vanish := range map[string]func(*handle){
		"it is not listed":       func(r *handle) { r.list() },
		"the registry lost it":   func(r *handle) { r.lose() },
		"there was an outage":    func(r *handle) { r.fail(errAway); r.list() },
		"nothing is ever listed": func(r *handle) { r.list(); r.lose(); r.list() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, p := newWorld(t), &pinged{}
				w.registry.list(instance("there"), instance("dead"))
				defer w.network.Serve("addr-there", func(r grpc.ServiceRegistrar) { pb.RegisterIntrospectionServiceServer(r, p) })()
				if err := w.entry(t, "there").Link.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				vanish(w.registry)
				w.pass(10 * time.Minute)
				w.expect(t, "later", []string{"there"}, []string{"there"})
				if n := p.asked.Load(); n < 20 || n > 25 {
					t.Errorf("in ten minutes it was asked %d times", n)
				}
				p.stops.Store(true)
				w.pass(lingerTime)
				w.expect(t, "when it stops", none(), none())
				w.pass(lingerTime)
				if n := len(w.topic.Now().Entries()); n != 0 {
					t.Errorf("in the end there are %d entries", n)
				}
			})
		})
	}
}

func TestVanishedIsDroppedInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"), instance("b"))
		defer w.connect(t, "a")()
		defer w.connect(t, "b")()
		a := peerOf(w.entry(t, "a"))
		w.registry.list(instance("b"))
		w.pass(10 * time.Second)
		w.registry.list()
		both := []string{"a", "b"}
		w.expect(t, "at first", both, both)
		w.pass(20*time.Second - time.Nanosecond)
		w.expect(t, "just before the first one's time", both, both)
		w.pass(time.Nanosecond)
		w.expect(t, "then", []string{"b"}, []string{"b"})
		if a.Acquire() {
			t.Error("the peer of the one that is gone was not given back")
		}
		w.pass(10 * time.Second)
		w.expect(t, "in the end", none(), none())
	})
}

func TestVanishedIsListedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		before := w.entry(t, "a")
		w.registry.list()
		w.pass(lingerTime - time.Second)
		w.registry.list(instance("a"))
		w.expect(t, "listed again", []string{"a"}, []string{"a"})
		if w.entry(t, "a").Link != before.Link {
			t.Error("it has another peer")
		}
		w.pass(time.Hour)
		w.expect(t, "an hour later", []string{"a"}, []string{"a"})
	})
}

func TestResetKeepsSurely(t *testing.T) {
	tests := map[string]struct {
		then            func(*world)
		listed, reached []string // after the time to linger
	}{
		"until the time is over": {func(*world) {}, none(), none()},
		"those that come back":   {func(w *world) { w.registry.list(instance("a")) }, []string{"a"}, []string{"a"}},
		"those said to be gone are not": {func(w *world) {
			for _, e := range w.topic.Now().Entries() {
				w.topic.Gone(e)
			}
		}, none(), none()},
		"whatever the registry says meanwhile": {func(w *world) {
			w.registry.list(instance("c"))
			w.registry.fail(errAway)
			w.registry.lose(instance("c")) // from now on missing instances have their time again
		}, []string{"a", "b", "c"}, []string{"a", "b", "c"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				both := []string{"a", "b"}
				w.registry.list(instance("a"), instance("b")) // neither is connected
				w.registry.lose()
				w.expect(t, "without the registry's data", both, both)
				w.pass(lingerTime - time.Second)
				w.expect(t, "before the time is over", both, both)
				tt.then(w)
				w.pass(time.Second)
				w.expect(t, "when the time is over", tt.listed, tt.reached)
			})
		})
	}
}

// TestResetDoesNotRevive checks that an instance that vanished before the registry lost its data
// counts as gone.
func TestResetDoesNotRevive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		w.registry.list()
		w.registry.lose()
		w.expect(t, "after the reset", []string{"a"}, none())
	})
}

func TestGone(t *testing.T) {
	a := instance("a")
	tests := map[string]struct {
		then func(*world)
		want []string
	}{
		"and still listed":         {func(w *world) { w.registry.list(a) }, none()},
		"and listed with changes":  {func(w *world) { a := a; a.State = rpc.StateHeld; w.registry.list(a) }, none()},
		"and listed anew":          {func(w *world) { w.registry.list(); w.registry.list(a) }, []string{"a"}},
		"and not listed any more":  {func(w *world) { w.registry.list() }, none()},
		"and lost by the registry": {func(w *world) { w.registry.lose() }, none()},
		"and an hour has passed":   {func(w *world) { w.pass(time.Hour) }, none()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.registry.list(a)
				w.topic.Gone(w.entry(t, "a"))
				w.expect(t, "at first", none(), none())
				tt.then(w)
				w.expect(t, "then", tt.want, tt.want)
			})
		})
	}
}

func TestGoneWhileItLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		defer w.connect(t, "a")()
		w.registry.list()
		e := w.entry(t, "a")
		w.topic.Gone(e)
		w.expect(t, "at first", none(), none())
		w.registry.list(instance("a"))
		w.expect(t, "listed anew", []string{"a"}, []string{"a"})
		w.topic.Gone(e) // an answer to a message sent before
		w.expect(t, "after news of an entry that was replaced", []string{"a"}, []string{"a"})
	})
}

func TestGoneGivesThePeerBackWithTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		p := peerOf(w.entry(t, "a"))
		w.topic.Gone(w.entry(t, "a"))
		w.registry.list()
		w.pass(lingerTime)
		if p.Acquire() {
			t.Error("it was not given back")
		}
	})
}

func TestGoneOfAStrangerIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"))
		w.topic.Gone(&route.Entry{Instance: instance("b")})
		w.topic.Gone(&route.Entry{Instance: instance("a")}) // of another view
		w.expect(t, "then", []string{"a"}, []string{"a"})
	})
}

func TestRecent(t *testing.T) {
	a := instance("a")
	tests := map[string]struct {
		before func(*world)
		want   bool
	}{
		"never listed":              {func(*world) {}, false},
		"listed":                    {func(w *world) { w.registry.list(a) }, true},
		"left just now":             {func(w *world) { w.registry.list(a); w.pass(time.Hour); w.registry.list() }, true},
		"left almost a minute ago":  {func(w *world) { w.registry.list(a); w.registry.list(); w.pass(recentTime - 1) }, true},
		"left a minute ago":         {func(w *world) { w.registry.list(a); w.registry.list(); w.pass(recentTime) }, false},
		"left an hour ago":          {func(w *world) { w.registry.list(a); w.registry.list(); w.pass(time.Hour) }, false},
		"lost by the registry":      {func(w *world) { w.registry.list(a); w.pass(time.Hour); w.registry.lose(); w.pass(40 * time.Second) }, true},
		"said to be gone just now":  {func(w *world) { w.registry.list(a); w.pass(time.Hour); w.gone("a") }, true},
		"said to be gone, long ago": {func(w *world) { w.registry.list(a); w.gone("a"); w.registry.list(); w.pass(time.Hour) }, false},
		"gone, and still listed when others come": {func(w *world) {
			w.registry.list(a)
			w.gone("a")
			w.pass(time.Hour)
			w.registry.list(a, instance("b"))
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.registry.list()
				tt.before(w)
				if got := w.topic.Recent("host-a"); got != tt.want {
					t.Errorf("recent: %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// gone makes an instance say that it is not there.
func (w *world) gone(id string) {
	for _, e := range w.topic.Now().Entries() {
		if e.ID == id {
			w.topic.Gone(e)
		}
	}
}

// TestNamesAreForgotten checks that a topic whose servers always have new names does not grow.
func TestNamesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 100 {
			w.registry.list(instance(string(rune('a' + n))))
			w.pass(10 * time.Second)
		}
		if n := len(w.topic.seen); n > 10 {
			t.Errorf("%d names of the last minute are remembered", n)
		}
		if n := len(w.topic.members); n > 4 {
			t.Errorf("%d members of the last half minute are kept", n)
		}
	})
}

// TestNothingElseKeepsPeers counts references: whatever happened, closing the fleet releases all
// peers.
func TestNothingElseKeepsPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var peers []*peer.Peer
		remember := func() {
			for _, e := range w.topic.Now().Entries() {
				peers = append(peers, peerOf(e))
			}
		}
		all := []rpc.Instance{instance("a"), instance("b"), instance("c"), instance("d")}
		w.registry.list(all...)
		remember()
		w.gone("a")
		w.registry.list(all[:3]...)
		w.registry.lose(all[1])
		w.pass(10 * time.Second)
		w.registry.list(all...)
		remember()
		w.registry.list(all[0], all[0])
		w.fleet.Close()
		for _, p := range peers {
			if p.Acquire() {
				t.Fatal("a peer is kept by a fleet that is closed")
			}
		}
	})
}

// TestOthersAreLeftAlone changes one of many instances: the views of a large fleet that changes all
// the time share the rest.
func TestOthersAreLeftAlone(t *testing.T) {
	const many = 1000
	ms, now := members{}, time.Now()
	for n := range many {
		i := instance(strconv.Itoa(n))
		ms[idOf(i)] = &member{entry: &route.Entry{Instance: i}}
	}
	if n := testing.AllocsPerRun(10, func() { ms.show(now, false) }); n > 0 {
		t.Errorf("showing what has not changed takes %v allocations", n)
	}
}

// TestMovedInstance checks an instance that moved to another address, since it attached to another
// gateway. It is in the view once. Its entry at the old address does not linger, whatever answers
// there.
func TestMovedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"), instance("b"))
		defer w.connect(t, "a")()
		w.expect(t, "at first", []string{"a", "b"}, []string{"a", "b"})
		moved := instance("a", func(i *rpc.Instance) { i.Addr, i.BootID = "addr-b", "boot-b" })
		w.registry.list(moved, instance("b"))
		w.expect(t, "after the move", []string{"a", "b"}, []string{"a", "b"})
		if e := w.entry(t, "a"); e.Addr != "addr-b" || e.Lingering {
			t.Errorf("it is at %s", e.Addr)
		}
		w.topic.Gone(w.entry(t, "a"))
		moved.BootID = "boot-c" // another gateway has the address of the one that refused its messages
		w.registry.list(moved, instance("b"))
		if e := w.entry(t, "a"); e.Left || e.BootID != "boot-c" {
			t.Errorf("with another process at its address it is %+v", e)
		}
		w.registry.list(instance("b"))
		if e := w.entry(t, "a"); e.Addr != "addr-b" || !e.Lingering {
			t.Errorf("what vanished is %+v", e)
		}
	})
}

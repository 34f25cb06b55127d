package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// proved is the origin of a message whose sender proved a name.
type proved string

func (proved) Metadata() rpc.Metadata { return nil }

func (p proved) Peer() rpc.Peer {
	return rpc.Peer{Identity: rpc.Identity{Proof: rpc.ProofTLS, Names: []string{string(p), "dns:shared"}}}
}

// from returns a message of a sender.
func from(sender, method, id string) *Request {
	r := request(method, id)
	r.Origin = proved(sender)
	return r
}

// A sender that knows or guesses the IDs of another sender cannot make the other's messages look
// like repeats. Otherwise the server would acknowledge casts that never run.
func TestSendersCannotUseUpIDsOfOthers(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"real": returns("1"), "noop": returns("1")})
	for i := range 100 {
		if err := s.Cast(t.Context(), from("mallory", "noop", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if err := s.Cast(t.Context(), from("ann", "real", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _ := counts(s, "real"); n != 100 {
		t.Errorf("%d of 100 ran", n)
	}
}

func TestSendersCannotEvictIDsOfOthers(t *testing.T) {
	t.Parallel()
	all, now := windows{}, time.Now()
	all.of("ann", now).add("a", now)
	for i := range 2 * windowSize {
		all.of("mallory", now).add(fmt.Sprint(i), now)
	}
	if all.of("ann", now).add("a", now) {
		t.Error("a repeat of ann's is taken for new")
	}
	if w := all["mallory"]; w.count != windowSize || w.known() != windowSize {
		t.Errorf("mallory's window holds %d, and knows %d", w.count, w.known())
	}
}

func TestSendersAreBounded(t *testing.T) {
	t.Parallel()
	all, now := windows{}, time.Now()
	for i := range 3 * maxSenders {
		all.of("busy", now).add(fmt.Sprint(i), now)
		all.of(fmt.Sprint("sender", i), now).add("a", now)
		now = now.Add(time.Millisecond)
		if len(all) > maxSenders {
			t.Fatalf("%d senders are remembered", len(all))
		}
	}
	if all.of("busy", now).add("0", now) {
		t.Error("the window of a sender that sends is gone")
	}
	now = now.Add(2 * windowTime)
	if all.of("late", now); len(all) != 1 {
		t.Errorf("%d senders are remembered after their time", len(all))
	}
}

func TestWindowGrows(t *testing.T) {
	t.Parallel()
	w := newWindow()
	w.add("first", time.Now())
	if len(w.ring) != windowStart {
		t.Errorf("a window begins with %d places", len(w.ring))
	}
	for i := range windowSize - 1 { // forgetting leaves sightings in the ring that are void
		w.add(fmt.Sprint(i), time.Now())
		if i%3 == 0 {
			w.add("x", time.Now())
			w.forget(fmt.Sprint(i))
			w.add(fmt.Sprint(i), time.Now())
		}
	}
	for i := windowSize - 200; i < windowSize-1; i++ {
		checkAdd(t, w, fmt.Sprint(i), false)
	}
	checkAdd(t, w, "new", true)
}

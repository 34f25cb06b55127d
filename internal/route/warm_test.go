package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// warm returns the IDs of the entries that a client uses for anycast in a number of turns, in
// order.
func warm(v *View, turns int) []string {
	var list []string
	for turn := range uint64(turns) {
		if e, _ := v.Any(wants(0), turn, &Tried{}); !slices.Contains(list, e.ID) {
			list = append(list, e.ID)
		}
	}
	slices.Sort(list)
	return list
}

func TestWarmSetSizes(t *testing.T) {
	for n, want := range map[int]int{1: 1, warmSet: warmSet, warmAll: warmAll, warmAll + 1: warmSet, 1000: warmSet} {
		if got := warm(view(many(n)...), n); len(got) != want {
			t.Errorf("of %d instances %d are used, want %d", n, len(got), want)
		}
	}
}

// TestWarmSetCountsThoseItCanUse has a large topic with few candidates. All candidates are used.
func TestWarmSetCountsThoseItCanUse(t *testing.T) {
	entries := many(warmAll)
	for i := range 500 {
		change := state(rpc.StateDraining)
		if i%2 == 0 {
			change = implements(base(1))
		}
		entries = append(entries, entry(fmt.Sprint("other-", i), change))
	}
	v := view(entries...)
	seen := map[*Entry]bool{}
	for turn := range uint64(warmAll) {
		e, _ := v.Any(wants(4), turn, &Tried{})
		seen[e] = true
	}
	if len(seen) != warmAll {
		t.Errorf("%d of %d candidates are used", len(seen), warmAll)
	}
}

func TestWarmSetHardlyChanges(t *testing.T) {
	const n = 300
	entries := many(n)
	before := warm(view(entries...), n)
	t.Run("one joins", func(t *testing.T) {
		for i := range 50 {
			after := warm(view(append(slices.Clone(entries), entry(fmt.Sprint("new-", i)))...), n)
			if gone := without(before, after); len(gone) > 1 {
				t.Errorf("new-%d displaced %v", i, gone)
			}
		}
	})
	t.Run("one leaves", func(t *testing.T) {
		for i, e := range entries {
			after := warm(view(slices.Delete(slices.Clone(entries), i, i+1)...), n)
			want := 0
			if slices.Contains(before, e.ID) {
				want = 1
			}
			if came := without(after, before); len(came) != want {
				t.Errorf("after %s left, %v came, want %d", e.ID, came, want)
			}
		}
	})
	t.Run("all are listed in another order", func(t *testing.T) {
		shuffled := slices.Clone(entries)
		rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if after := warm(view(shuffled...), n); !slices.Equal(after, before) {
			t.Errorf("%v came", without(after, before))
		}
	})
}

// without returns the entries of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// TestWarmSetsAreEven has many clients that choose from one fleet. Each instance must get its share
// of the clients, even if clients or instances are numbered consecutively.
func TestWarmSetsAreEven(t *testing.T) {
	const n, clients = 200, 2000
	random := rand.New(rand.NewPCG(3, 4))
	seeds := map[string]func(int) uint64{
		"random":   func(int) uint64 { return random.Uint64() },
		"numbered": func(i int) uint64 { return uint64(i) },
	}
	static := many(n)
	for _, e := range static {
		e.ID = "" // known by its address only
	}
	fleets := map[string][]*Entry{"by id": many(n), "static": static}
	for kind, seed := range seeds {
		for name, entries := range fleets {
			t.Run(kind+" seeds, "+name, func(t *testing.T) {
				counts := map[*Entry]int{}
				for i := range clients {
					v := NewView(entries, seed(i))
					for turn := range uint64(warmSet) {
						e, _ := v.Any(wants(0), turn, &Tried{})
						counts[e]++
					}
				}
				// The share is 320 with a standard deviation of 16. A deviation of five times that
				// has a probability of one in a million.
				const share, slack = clients * warmSet / n, 82
				for _, e := range entries {
					if c := counts[e]; c < share-slack || c > share+slack {
						t.Errorf("%s is used by %d clients, want about %d", e.Addr, c, share)
					}
				}
			})
		}
	}
}

func TestReserveStandsIn(t *testing.T) {
	const n = 100
	tests := map[string]struct {
		warm, reserve carrier.Health
		fromReserve   bool
	}{
		"the warm set is down":                       {carrier.Down, carrier.Idle, true},
		"the warm set is busy":                       {carrier.Busy, carrier.Idle, false},
		"the warm set is silent":                     {carrier.Silent, carrier.Idle, true},
		"the warm set is being connected":            {carrier.Connecting, carrier.Ready, true},
		"the warm set is down, the rest on its way":  {carrier.Down, carrier.Connecting, true},
		"all are down":                               {carrier.Down, carrier.Down, false},
		"the rest is no better":                      {carrier.Connecting, carrier.Down, false},
		"the warm set is idle, the rest is ready":    {carrier.Idle, carrier.Ready, false},
		"the warm set is ready, and so are the rest": {carrier.Ready, carrier.Ready, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			entries := many(n, health(carrier.Idle))
			v := view(entries...)
			used := warm(v, n)
			for _, e := range entries {
				h := tt.reserve
				if slices.Contains(used, e.ID) {
					h = tt.warm
				}
				health(h)(e)
			}
			for turn := range uint64(n) {
				e, _ := v.Any(wants(0), turn, &Tried{})
				if got := !slices.Contains(used, e.ID); got != tt.fromReserve {
					t.Fatalf("turn %d: %s is from the reserve: %v, want %v", turn, e.ID, got, tt.fromReserve)
				}
			}
		})
	}
}

// TestReserveIsTriedInTheEnd lets a message try all servers of a large fleet.
func TestReserveIsTriedInTheEnd(t *testing.T) {
	const n = 5 * warmAll
	v, tried, seen := view(many(n)...), &Tried{}, map[*Entry]bool{}
	for range n {
		e, verdict := v.Any(wants(0), 11, tried)
		if verdict != Found {
			t.Fatalf("verdict %d after %d of %d", verdict, len(seen), n)
		}
		seen[e] = true
		tried.Add(e)
	}
	if _, verdict := v.Any(wants(0), 11, tried); verdict != Exhausted || len(seen) != n {
		t.Errorf("%d of %d were tried, then verdict %d", len(seen), n, verdict)
	}
}

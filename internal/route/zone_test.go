package route

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func zone(name string) func(*Entry) { return func(e *Entry) { e.Zone = name } }

func astray(e *Entry) { e.Astray = errors.New("another process") }

// picked makes as many choices as there are entries, each with the next turn, and returns the
// chosen IDs.
func picked(t *testing.T, v *View, q Query, tried Tried) []string {
	t.Helper()
	var list []string
	for turn := range uint64(len(v.Entries())) {
		e, verdict := v.Any(q, turn, &tried)
		if verdict != Found {
			t.Fatalf("turn %d: verdict %d", turn, verdict)
		}
		list = append(list, e.ID)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Messages for any server stay in the zone of the client as long as an instance in the zone accepts
// them.
func TestZone(t *testing.T) {
	here := func(id string, changes ...func(*Entry)) *Entry { return entry(id, append(changes, zone("here"))...) }
	there := func(id string, changes ...func(*Entry)) *Entry { return entry(id, append(changes, zone("there"))...) }
	for _, test := range []struct {
		name    string
		zone    string
		entries []*Entry
		tried   []int // indexes of entries
		want    string
	}{
		{"all in the zone", "here", []*Entry{here("1"), here("2")}, nil, "[1 2]"},
		{"others are elsewhere", "here", []*Entry{there("1"), here("2"), entry("3"), here("4")}, nil, "[2 4]"},
		{"never tried", "here", []*Entry{there("1"), here("2", health(carrier.Idle))}, nil, "[2]"},
		{"busy is no reason to leave", "here", []*Entry{there("1"), here("2", health(carrier.Busy))}, nil, "[2]"},
		{"no stream left", "here", []*Entry{there("1"), here("2", health(carrier.Full))}, nil, "[1]"},
		{"being connected", "here", []*Entry{there("1"), here("2", health(carrier.Connecting))}, nil, "[1]"},
		{"silent", "here", []*Entry{there("1"), here("2", health(carrier.Silent))}, nil, "[1]"},
		{"down", "here", []*Entry{there("1"), here("2", health(carrier.Down))}, nil, "[1]"},
		{"down here, and another is well", "here", []*Entry{there("1"), here("2", health(carrier.Down)), here("3")}, nil, "[3]"},
		{"down everywhere: the nearer", "here", []*Entry{there("1", health(carrier.Down)), here("2", health(carrier.Down))}, nil, "[2]"},
		{"worse elsewhere", "here", []*Entry{there("1", health(carrier.Down)), here("2", health(carrier.Connecting))}, nil, "[2]"},
		{"refused", "here", []*Entry{there("1"), here("2"), here("3")}, []int{1, 2}, "[1]"},
		{"one refused", "here", []*Entry{there("1"), here("2"), here("3")}, []int{1}, "[3]"},
		{"too old", "here", []*Entry{there("1"), here("2", implements(base(0)))}, nil, "[1]"},
		{"draining", "here", []*Entry{there("1"), here("2", state(rpc.StateDraining))}, nil, "[1]"},
		{"vanished", "here", []*Entry{there("1"), here("2", lingering(carrier.Down))}, nil, "[1]"},
		{"vanished, and connected", "here", []*Entry{there("1"), here("2", lingering(carrier.Ready))}, nil, "[2]"},
		{"leads elsewhere", "here", []*Entry{there("1"), here("2", astray)}, nil, "[1]"},
		{"held here, active there", "here", []*Entry{there("1"), here("2", state(rpc.StateHeld))}, nil, "[1]"},
		{"held everywhere", "here", []*Entry{there("1", state(rpc.StateHeld)), here("2", state(rpc.StateHeld))}, nil, "[2]"},
		{"held, and down here", "here", []*Entry{there("1", state(rpc.StateHeld)), here("2", state(rpc.StateHeld), health(carrier.Down))}, nil, "[1]"},
		{"no instance in the zone", "here", []*Entry{there("1"), entry("2")}, nil, "[1 2]"},
		{"no instance says a zone", "here", []*Entry{entry("1"), entry("2")}, nil, "[1 2]"},
		{"the client has none", "", []*Entry{there("1"), here("2"), entry("3")}, nil, "[1 2 3]"},
		{"case counts", "Here", []*Entry{here("1"), entry("2", zone("Here"))}, nil, "[2]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var tried Tried
			for _, i := range test.tried {
				tried.Add(test.entries[i])
			}
			if got := fmt.Sprint(picked(t, NewViewIn(test.zone, test.entries, 1), wants(1), tried)); got != test.want {
				t.Errorf("picked %s, want %s", got, test.want)
			}
		})
	}
}

// When the instance is healthy again, messages return to it, with the same view.
func TestZoneReturns(t *testing.T) {
	near, far := entry("near", zone("here")), entry("far", zone("there"))
	v := NewViewIn("here", []*Entry{far, near}, 1)
	for _, test := range []struct {
		health carrier.Health
		want   *Entry
	}{{carrier.Ready, near}, {carrier.Down, far}, {carrier.Connecting, far}, {carrier.Ready, near}} {
		health(test.health)(near)
		if got, _ := v.Any(wants(1), 0, &Tried{}); got != test.want {
			t.Errorf("while the near one is %s: picked %s", test.health, id(got))
		}
	}
}

// The verdict when there is no instance does not depend on zones.
func TestZoneVerdicts(t *testing.T) {
	for _, test := range []struct {
		name    string
		entries []*Entry
		tried   bool
		want    Verdict
	}{
		{"none", nil, false, NoInstance},
		{"all tried", []*Entry{entry("1", zone("here")), entry("2", zone("there"))}, true, Exhausted},
		{"all tried, elsewhere", []*Entry{entry("1", zone("there"))}, true, Exhausted},
		{"too old in both", []*Entry{entry("1", zone("here"), implements(base(0))), entry("2", zone("there"), implements(base(0)))}, false, Unable},
		{"one that can is away, elsewhere", []*Entry{
			entry("1", zone("here"), implements(base(0))), entry("2", zone("there"), lingering(carrier.Down)),
		}, false, Away},
	} {
		t.Run(test.name, func(t *testing.T) {
			var tried Tried
			for _, e := range test.entries {
				if test.tried {
					tried.Add(e)
				}
			}
			if e, got := NewViewIn("here", test.entries, 1).Any(wants(1), 0, &tried); got != test.want || e != nil {
				t.Errorf("picked %s with verdict %d, want verdict %d", id(e), got, test.want)
			}
		})
	}
}

// A client of a large fleet uses a warm set in its zone, and connects to other zones only when it
// must.
func TestZoneOfLargeFleet(t *testing.T) {
	entries := append(many(200, zone("here")), many(1000, zone("there"))...)
	v := NewViewIn("here", entries, 1)
	var tried Tried
	used := map[*Entry]bool{}
	for turn := range uint64(1000) {
		e, _ := v.Any(wants(1), turn, &tried)
		if e.Zone != "here" {
			t.Fatalf("turn %d left the zone", turn)
		}
		used[e] = true
	}
	if len(used) != warmSet {
		t.Errorf("%d instances were used, want %d", len(used), warmSet)
	}
	for _, e := range entries[:200] {
		health(carrier.Down)(e)
	}
	clear(used)
	for turn := range uint64(1000) {
		e, _ := v.Any(wants(1), turn, &tried)
		used[e] = true
	}
	if len(used) != warmSet {
		t.Errorf("%d instances elsewhere were used, want %d", len(used), warmSet)
	}
}

// A fanout and a message for a named server reach all zones alike.
func TestZoneOfOtherDeliveries(t *testing.T) {
	entries := []*Entry{entry("1", zone("there"), server("a")), entry("2", zone("here"), server("b")), entry("3", server("a"))}
	v := NewViewIn("here", entries, 1)
	if reached, _, _ := v.All(wants(1)); len(reached) != 3 {
		t.Errorf("a fanout reaches %v", ids(reached))
	}
	for turn, want := range []string{"1", "3"} {
		if e, _ := v.Server(wants(1), "a", uint64(turn), &Tried{}); id(e) != want {
			t.Errorf("turn %d for the server a: %s, want %s", turn, id(e), want)
		}
	}
}

func TestZonedPickDoesNotAllocate(t *testing.T) {
	for _, zones := range []int{1, 3} {
		entries := many(1000)
		for i, e := range entries {
			e.Zone = fmt.Sprint(i % zones)
		}
		for _, client := range []string{"0", "none"} {
			v := NewViewIn(client, entries, 1)
			v.ableTo(wants(1))
			turn := uint64(0)
			if n := testing.AllocsPerRun(1000, func() {
				var tried Tried
				turn++
				v.Any(wants(1), turn, &tried)
			}); n != 0 {
				t.Errorf("a client in zone %s of %d: %v allocations", client, zones, n)
			}
		}
	}
}

func BenchmarkZonedPick(b *testing.B) {
	for _, client := range []string{"", "here", "elsewhere"} {
		v := NewViewIn(client, append(many(5000, zone("here")), many(5000, zone("there"))...), 1)
		b.Run("zone="+client, func(b *testing.B) {
			b.ReportAllocs()
			for turn := uint64(0); b.Loop(); turn++ {
				var tried Tried
				if _, verdict := v.Any(wants(1), turn, &tried); verdict != Found {
					b.Fatal(verdict)
				}
			}
		})
	}
}

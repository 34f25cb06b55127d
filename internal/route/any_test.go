package route

import (
	"math"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestAnyGoesRoundRobin(t *testing.T) {
	v := view(many(4)...)
	order := make([]string, 8)
	for turn := range order {
		e, _ := v.Any(wants(0), uint64(turn), &Tried{})
		order[turn] = id(e)
	}
	if want := []string{"0", "1", "2", "3", "0", "1", "2", "3"}; !slices.Equal(order, want) {
		t.Errorf("picked %v, want %v", order, want)
	}
}

// TestTurnWrapsAround has turns close to the largest number, since the first turn of a client is
// random. Each message must still try all instances.
func TestTurnWrapsAround(t *testing.T) {
	const n = 3 // does not divide 2^64
	for _, turn := range []uint64{math.MaxUint64 - 2, math.MaxUint64 - 1, math.MaxUint64} {
		v, tried := view(many(n)...), &Tried{}
		for range n {
			e, verdict := v.Any(wants(0), turn, tried)
			if verdict != Found {
				t.Fatalf("turn %d: verdict %d though only %d of %d were tried", turn, verdict, tried.n, n)
			}
			tried.Add(e)
		}
	}
}

func TestAnyPrefersTheHealthy(t *testing.T) {
	tests := map[string]struct {
		healths []carrier.Health // of entries 0, 1, ...
		want    string           // who has turn 0
	}{
		"ready before the others":               {[]carrier.Health{carrier.Down, carrier.Connecting, carrier.Ready}, "2"},
		"idle as good as ready":                 {[]carrier.Health{carrier.Idle, carrier.Ready}, "0"},
		"ready as good as idle":                 {[]carrier.Health{carrier.Ready, carrier.Idle}, "0"},
		"connecting before down":                {[]carrier.Health{carrier.Down, carrier.Connecting, carrier.Down}, "1"},
		"first in turn of those connecting":     {[]carrier.Health{carrier.Down, carrier.Connecting, carrier.Connecting}, "1"},
		"an idle one before a busy one":         {[]carrier.Health{carrier.Busy, carrier.Idle}, "1"},
		"a busy one before one on its way":      {[]carrier.Health{carrier.Connecting, carrier.Busy}, "1"},
		"a busy one before a full one":          {[]carrier.Health{carrier.Full, carrier.Busy}, "1"},
		"on its way before a silent one":        {[]carrier.Health{carrier.Silent, carrier.Connecting}, "1"},
		"a silent one before one that is down":  {[]carrier.Health{carrier.Down, carrier.Silent}, "1"},
		"down rather than nobody":               {[]carrier.Health{carrier.Down, carrier.Down}, "0"},
		"an idle one behind many that are down": {[]carrier.Health{carrier.Down, carrier.Down, carrier.Down, carrier.Idle}, "3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			entries := many(len(tt.healths))
			for i, h := range tt.healths {
				health(h)(entries[i])
			}
			e, verdict := view(entries...).Any(wants(0), 0, &Tried{})
			if id(e) != tt.want || verdict != Found {
				t.Errorf("picked %s (verdict %d), want %s", id(e), verdict, tt.want)
			}
		})
	}
}

func TestAnyGoesOnFromTheTriedToTheNext(t *testing.T) {
	const n = 20 // more than Tried keeps in its array
	v, tried := view(many(n)...), &Tried{}
	for i := range n {
		e, verdict := v.Any(wants(0), 7, tried)
		if verdict != Found || tried.has(e) {
			t.Fatalf("pick %d is %s again, verdict %d", i, id(e), verdict)
		}
		tried.Add(e)
	}
	if e, verdict := v.Any(wants(0), 7, tried); verdict != Exhausted {
		t.Errorf("after all were tried: %s, verdict %d, want Exhausted", id(e), verdict)
	}
	tried.Reset()
	if e, verdict := v.Any(wants(0), 7, tried); verdict != Found || id(e) != "7" {
		t.Errorf("in the next round: %s, verdict %d, want the first in turn", id(e), verdict)
	}
}

func TestAnyAvoidsTheHeldAndTheDraining(t *testing.T) {
	held, draining := state(rpc.StateHeld), state(rpc.StateDraining)
	tests := map[string]struct {
		entries []*Entry
		tried   []int
		want    string
		verdict Verdict
	}{
		"active before held":               {entries: []*Entry{entry("h", held), entry("a")}, want: "a"},
		"even an active one that is down":  {entries: []*Entry{entry("h", held), entry("a", health(carrier.Down))}, want: "a"},
		"held as the last resort":          {entries: []*Entry{entry("h", held)}, want: "h"},
		"held after the active were tried": {entries: []*Entry{entry("h", held), entry("a")}, tried: []int{1}, want: "h"},
		"of the held, the healthy": {
			entries: []*Entry{entry("down", held, health(carrier.Down)), entry("h", held)}, want: "h",
		},
		"held ones tried as well":    {entries: []*Entry{entry("h", held), entry("a")}, tried: []int{0, 1}, verdict: Exhausted},
		"draining never":             {entries: []*Entry{entry("d", draining)}, verdict: NoInstance},
		"draining beside a held one": {entries: []*Entry{entry("d", draining), entry("h", held)}, want: "h"},
		"an unknown state is active": {entries: []*Entry{entry("x", state("dreaming")), entry("h", held)}, want: "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var tried Tried
			for _, i := range tt.tried {
				tried.Add(tt.entries[i])
			}
			for turn := range uint64(4) {
				e, verdict := view(tt.entries...).Any(wants(0), turn, &tried)
				if verdict != tt.verdict || (tt.verdict == Found && id(e) != tt.want) {
					t.Errorf("turn %d: picked %s, verdict %d, want %s, %d", turn, id(e), verdict, tt.want, tt.verdict)
				}
			}
		})
	}
}

func TestAnyVerdicts(t *testing.T) {
	old := implements(base(1))
	lost := entry("lost", lingering(carrier.Down))
	tests := map[string]struct {
		entries []*Entry
		tried   *Tried
		want    Verdict
	}{
		"an empty topic":                         {want: NoInstance},
		"one that can":                           {entries: []*Entry{entry("a")}, want: Found},
		"only too old ones":                      {entries: []*Entry{entry("a", old), entry("b", old)}, want: Unable},
		"only another major version":             {entries: []*Entry{entry("a", implements(rpc.Implementation{Version: rpc.Version{Major: 2, Minor: 9}}))}, want: Unable},
		"only another namespace":                 {entries: []*Entry{entry("a", implements(rpc.Implementation{Namespace: "x", Version: rpc.Version{Major: 1, Minor: 4}}))}, want: Unable},
		"one that does not say what it has":      {entries: []*Entry{entry("a", old), entry("b", implements())}, want: Found},
		"an old one that is held":                {entries: []*Entry{entry("a", old, state(rpc.StateHeld))}, want: Unable},
		"an old one that takes nothing":          {entries: []*Entry{entry("a", old, state(rpc.StateDraining))}, want: NoInstance},
		"an old one that vanished":               {entries: []*Entry{entry("a", old, lingering(carrier.Idle))}, want: NoInstance},
		"one that vanished and is connected":     {entries: []*Entry{entry("a", lingering(carrier.Ready))}, want: Found},
		"one that vanished and is busy":          {entries: []*Entry{entry("a", lingering(carrier.Busy))}, want: Found},
		"one that vanished and is silent":        {entries: []*Entry{entry("a", lingering(carrier.Silent))}, want: NoInstance},
		"one that vanished and was never met":    {entries: []*Entry{entry("a", lingering(carrier.Idle))}, want: NoInstance},
		"one that vanished, as its process did":  {entries: []*Entry{entry("a", lingering(carrier.Connecting))}, want: NoInstance},
		"tried, then lost":                       {entries: []*Entry{lost}, tried: tries(lost), want: NoInstance},
		"tried, then lost, and an old one is up": {entries: []*Entry{lost, entry("b", old)}, tried: tries(lost), want: Away},
		"restarting, and an old one is up":       {entries: []*Entry{entry("a", lingering(carrier.Down)), entry("b", old)}, want: Away},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.tried == nil {
				tt.tried = &Tried{}
			}
			if e, got := view(tt.entries...).Any(wants(4), 0, tt.tried); got != tt.want {
				t.Errorf("verdict %d with %s, want %d", got, id(e), tt.want)
			}
		})
	}
}

func TestLingeringFollowsItsConnection(t *testing.T) {
	e := entry("a", lingering(carrier.Ready))
	v := view(e)
	for _, step := range []struct {
		health carrier.Health
		want   Verdict
	}{{carrier.Ready, Found}, {carrier.Connecting, NoInstance}, {carrier.Down, NoInstance}, {carrier.Ready, Found}, {carrier.Idle, NoInstance}} {
		health(step.health)(e)
		if _, got := v.Any(wants(0), 0, &Tried{}); got != step.want {
			t.Errorf("while %s: verdict %d, want %d", step.health, got, step.want)
		}
	}
}

// TestAnyoneIsPickedWhateverItImplements asks for a version that no instance says it implements.
func TestAnyoneIsPickedWhateverItImplements(t *testing.T) {
	q := wants(9)
	q.Anyone = true
	v := view(entry("a", server("s")), entry("b", implements(rpc.Implementation{Namespace: "x", Version: rpc.Version{Major: 2}})))
	if e, verdict := v.Any(q, 1, &Tried{}); verdict != Found || id(e) != "b" {
		t.Errorf("picked %s, verdict %d", id(e), verdict)
	}
	if e, verdict := v.Server(q, "s", 0, &Tried{}); verdict != Found || id(e) != "a" {
		t.Errorf("of the server's, picked %s, verdict %d", id(e), verdict)
	}
	if reached, _, skipped := v.All(q); len(reached) != 2 || len(skipped) != 0 {
		t.Errorf("a fanout reaches %d and skips %d", len(reached), len(skipped))
	}
	if _, verdict := v.Any(wants(9), 0, &Tried{}); verdict != Unable {
		t.Errorf("others get verdict %d", verdict)
	}
}

// TestOfBusyOnesTheLeastLoaded checks that the message goes to the least loaded busy instance. So a
// frozen or slow instance does not collect all messages.
func TestOfBusyOnesTheLeastLoaded(t *testing.T) {
	entries := many(5, health(carrier.Busy))
	for i, outstanding := range []int64{9, 7, 3, 3, 8} {
		entries[i].Link.(*link).outstanding = outstanding
	}
	v := view(entries...)
	for turn, want := range map[uint64]string{0: "2", 3: "3", 4: "2"} {
		if e, _ := v.Any(wants(0), turn, &Tried{}); id(e) != want {
			t.Errorf("in turn %d it is %s, want %s", turn, id(e), want)
		}
	}
}

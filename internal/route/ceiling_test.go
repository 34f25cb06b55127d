package route

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func one(minor uint32) rpc.Version { return rpc.Version{Major: 1, Minor: minor} }

func TestCeiling(t *testing.T) {
	elsewhere := implements(rpc.Implementation{Namespace: "x", Version: one(9)})
	two := rpc.Implementation{Version: rpc.Version{Major: 2, Minor: 3}}
	for name, test := range map[string]struct {
		entries []*Entry
		server  string
		want    Ceiling
		holders string
	}{
		"nobody":                          {want: Ceiling{State: Absent}},
		"one":                             {entries: []*Entry{entry("a")}, want: Ceiling{Version: one(4)}, holders: "a"},
		"the oldest":                      {entries: []*Entry{entry("a"), entry("b", implements(base(1)))}, want: Ceiling{Version: one(1), Next: one(4), Rises: true}, holders: "b"},
		"several of the oldest":           {entries: []*Entry{entry("a", implements(base(1))), entry("b", implements(base(1))), entry("c")}, want: Ceiling{Version: one(1), Next: one(4), Rises: true}, holders: "ab"},
		"of an instance, its highest":     {entries: []*Entry{entry("a", implements(base(1), base(3), base(2)))}, want: Ceiling{Version: one(3)}, holders: "a"},
		"held ones count":                 {entries: []*Entry{entry("a"), entry("b", implements(base(1)), state(rpc.StateHeld))}, want: Ceiling{Version: one(1), Next: one(4), Rises: true}, holders: "b"},
		"draining ones do not":            {entries: []*Entry{entry("a"), entry("b", implements(base(1)), state(rpc.StateDraining))}, want: Ceiling{Version: one(4)}, holders: "a"},
		"vanished ones do not":            {entries: []*Entry{entry("a"), entry("b", implements(base(1)), lingering(carrier.Down))}, want: Ceiling{Version: one(4)}, holders: "a"},
		"but while they are connected":    {entries: []*Entry{entry("a"), entry("b", implements(base(1)), lingering(carrier.Ready))}, want: Ceiling{Version: one(1), Next: one(4), Rises: true}, holders: "b"},
		"another namespace is no matter":  {entries: []*Entry{entry("a"), entry("b", elsewhere)}, want: Ceiling{Version: one(4)}, holders: "a"},
		"only another namespace":          {entries: []*Entry{entry("b", elsewhere)}, want: Ceiling{State: Absent}},
		"another major version":           {entries: []*Entry{entry("a"), entry("b", implements(two))}, want: Ceiling{State: MajorMismatch, Next: one(4), Rises: true}, holders: "b"},
		"beside this one":                 {entries: []*Entry{entry("a"), entry("b", implements(two, base(2)))}, want: Ceiling{Version: one(2), Next: one(4), Rises: true}, holders: "b"},
		"one that does not say":           {entries: []*Entry{entry("a"), entry("b", implements())}, want: Ceiling{State: Unreported, Next: one(4), Rises: true}, holders: "b"},
		"that weighs more than a major":   {entries: []*Entry{entry("a", implements(two)), entry("b", implements())}, want: Ceiling{State: Unreported}, holders: "b"},
		"of a server":                     {entries: []*Entry{entry("a"), entry("b", implements(base(1)))}, server: "host-a", want: Ceiling{Version: one(4)}, holders: "a"},
		"of a server that drains":         {entries: []*Entry{entry("a"), entry("b", implements(base(1)), state(rpc.StateDraining))}, server: "host-b", want: Ceiling{Version: one(1)}, holders: "b"},
		"of a server that is not there":   {entries: []*Entry{entry("a")}, server: "host-z", want: Ceiling{State: Absent}},
		"no state but draining is unlike": {entries: []*Entry{entry("a"), entry("b", implements(base(1)), state("new"))}, want: Ceiling{Version: one(1), Next: one(4), Rises: true}, holders: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			got := view(test.entries...).Ceiling(Interface{Major: 1}, test.server)
			holders := ""
			for _, e := range got.Holders {
				holders += e.ID
			}
			if got.State != test.want.State || got.Version != test.want.Version || got.Rises != test.want.Rises ||
				got.Rises && got.Next != test.want.Next || holders != test.holders {
				t.Errorf("got %+v, held by %q, want %+v, held by %q", *got, holders, test.want, test.holders)
			}
		})
	}
}

func TestCeilingAllows(t *testing.T) {
	known := &Ceiling{Version: one(4)}
	if !known.Allows(one(4)) || !known.Allows(one(0)) || known.Allows(one(5)) || known.Allows(rpc.Version{Major: 2}) {
		t.Error("a known ceiling does not bound")
	}
	for _, state := range []CeilingState{Absent, MajorMismatch, Unreported} {
		if c := (&Ceiling{State: state, Version: one(4)}); c.Allows(one(0)) {
			t.Errorf("state %d allows something", state)
		}
	}
}

// TestCeilingFollowsConnections uses the same view again after the connection of a vanished
// instance has changed.
func TestCeilingFollowsConnections(t *testing.T) {
	old := entry("b", implements(base(1)), lingering(carrier.Ready))
	v := view(entry("a"), old)
	for _, step := range []struct {
		health carrier.Health
		want   uint32
	}{{carrier.Ready, 1}, {carrier.Connecting, 4}, {carrier.Ready, 1}, {carrier.Idle, 4}} {
		health(step.health)(old)
		if got := v.Ceiling(Interface{Major: 1}, ""); got.Version != one(step.want) {
			t.Errorf("while %s: %s, want 1.%d", step.health, got.Version, step.want)
		}
	}
}

func TestCeilingDoesNotAllocate(t *testing.T) {
	v, _ := fleet(1000)
	v.Ceiling(Interface{Major: 1}, "")
	if n := testing.AllocsPerRun(1000, func() { v.Ceiling(Interface{Major: 1}, "").Allows(one(1)) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkCeiling(b *testing.B) {
	v, _ := fleet(1000)
	b.ReportAllocs()
	for b.Loop() {
		if !v.Ceiling(Interface{Major: 1}, "").Allows(one(1)) {
			b.Fatal("not allowed")
		}
	}
}

// TestThoseThatLeftHoldNothingDown checks instances that left, and instances whose address leads to
// another process, while their connections are up.
func TestThoseThatLeftHoldNothingDown(t *testing.T) {
	i := Interface{Major: 1}
	for name, change := range map[string]func(*Entry){
		"left":   func(e *Entry) { e.Left = true },
		"astray": func(e *Entry) { e.Astray = errors.New("who?") },
	} {
		t.Run(name, func(t *testing.T) {
			v := view(entry("new"), entry("old", server("host"), implements(base(1)), change))
			if c := v.Ceiling(i, ""); c.State != Known || c.Version.Minor != 4 {
				t.Errorf("the ceiling is %+v", c)
			}
			if !v.Common(wants(4), "") || v.Common(wants(1), "host") {
				t.Error("it counts")
			}
			reached, draining, unable := v.All(wants(4))
			if len(reached) != 1 || len(draining)+len(unable) != 0 {
				t.Errorf("a fanout reaches %v, and skips %v, %v", ids(reached), ids(draining), ids(unable))
			}
			if e, verdict := v.Any(wants(1), 1, &Tried{}); verdict != Found || e.ID != "new" {
				t.Errorf("picked %s", id(e))
			}
			if _, verdict := v.Server(wants(1), "host", 1, &Tried{}); verdict != NoServer {
				t.Errorf("verdict %d", verdict)
			}
		})
	}
}

// An instance that did not prove its name does not hold the cap down, unless the message names its
// server, or no other instance says what it implements.
func TestUnprovenHoldNothingDown(t *testing.T) {
	i := Interface{Major: 1}
	unproven := func(e *Entry) { e.Unproven = true }
	for name, more := range map[string]*Entry{"alone": nil, "while another lingers": entry("gone", lingering(carrier.Ready))} {
		t.Run(name, func(t *testing.T) {
			entries := []*Entry{entry("new"), entry("old", server("host"), implements(base(1)), unproven), entry("silent", implements(), unproven)}
			if more != nil {
				entries = append(entries, more)
			}
			v := view(entries...)
			if c := v.Ceiling(i, ""); c.State != Known || c.Version.Minor != 4 || !v.Common(wants(4), "") {
				t.Errorf("the ceiling is %+v", c)
			}
			if c := v.Ceiling(i, "host"); c.Version.Minor != 1 || v.Common(wants(4), "host") {
				t.Errorf("the ceiling of the server is %+v", c)
			}
		})
	}
	v := view(entry("old", implements(base(1)), unproven))
	if c := v.Ceiling(i, ""); c.State != Known || c.Version.Minor != 1 || v.Common(wants(4), "") || !v.Common(wants(1), "") {
		t.Errorf("the ceiling without others is %+v", c)
	}
}

// TestCeilingOfALargeFleet checks that the cost of computing the ceiling does not grow with the
// square of the fleet, and that the cost for each message does not grow with the fleet while one of
// its instances is missing.
func TestCeilingOfALargeFleet(t *testing.T) {
	const many, messages, enough = 200_000, 10_000, 2 * time.Second
	entries := []*Entry{entry("vanished", lingering(carrier.Ready))}
	for n := range many {
		entries = append(entries, entry(strconv.Itoa(n)))
	}
	v := NewView(entries, 0)
	begin := time.Now()
	if c := v.Ceiling(Interface{Major: 1}, ""); c.Version != one(4) || len(c.Holders) != 1+many {
		t.Errorf("the ceiling is %v, held by %d", c.Version, len(c.Holders))
	}
	for range messages {
		if !v.Common(wants(4), "") {
			t.Fatal("not all serve what they implement")
		}
	}
	if took := time.Since(begin); took > enough {
		t.Errorf("it took %v", took)
	}
}

package route

import (
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestServerVerdicts(t *testing.T) {
	h1, old := server("h1"), implements(base(1))
	a := entry("a", h1)
	lost := entry("lost", h1, lingering(carrier.Down))
	tests := map[string]struct {
		entries []*Entry
		tried   *Tried
		want    string
		verdict Verdict
	}{
		"the server of the name":                  {entries: []*Entry{entry("b", server("h2")), a}, want: "a"},
		"nobody of the name":                      {entries: []*Entry{entry("b", server("h2"))}, verdict: NoServer},
		"an empty topic":                          {verdict: NoServer},
		"draining, but meant":                     {entries: []*Entry{entry("d", h1, state(rpc.StateDraining))}, want: "d"},
		"held, but meant":                         {entries: []*Entry{entry("h", h1, state(rpc.StateHeld))}, want: "h"},
		"too old":                                 {entries: []*Entry{entry("a", h1, old)}, verdict: Unable},
		"too old and draining":                    {entries: []*Entry{entry("a", h1, old, state(rpc.StateDraining))}, verdict: Unable},
		"too old, while another could":            {entries: []*Entry{entry("a", h1, old), entry("b", server("h2"))}, verdict: Unable},
		"of two of the name, the one that can":    {entries: []*Entry{entry("old", h1, old), entry("new", h1)}, want: "new"},
		"of two of the name, the healthy one":     {entries: []*Entry{entry("down", h1, health(carrier.Down)), a}, want: "a"},
		"one that does not say what it has":       {entries: []*Entry{entry("a", h1, implements())}, want: "a"},
		"an address without a name":               {entries: []*Entry{entry("a", server(""))}, verdict: NoServer},
		"tried":                                   {entries: []*Entry{a}, tried: tries(a), verdict: Exhausted},
		"tried, and another of the name is there": {entries: []*Entry{a, entry("b", h1)}, tried: tries(a), want: "b"},
		"vanished":                                {entries: []*Entry{entry("a", h1, lingering(carrier.Idle))}, verdict: NoServer},
		"vanished and too old":                    {entries: []*Entry{entry("a", h1, old, lingering(carrier.Idle))}, verdict: NoServer},
		"active before held, draining": {
			entries: []*Entry{entry("d", h1, state(rpc.StateDraining)), entry("h", h1, state(rpc.StateHeld)), a}, want: "a",
		},
		"held, draining when the active was tried": {
			entries: []*Entry{a, entry("d", h1, state(rpc.StateDraining))}, tried: tries(a), want: "d",
		},
		"vanished and connected": {entries: []*Entry{entry("a", h1, lingering(carrier.Ready))}, want: "a"},
		"tried, then lost":       {entries: []*Entry{lost}, tried: tries(lost), verdict: NoServer},
		"down, but the only one": {entries: []*Entry{entry("a", h1, health(carrier.Down))}, want: "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.tried == nil {
				tt.tried = &Tried{}
			}
			for turn := range uint64(3) {
				e, verdict := view(tt.entries...).Server(wants(4), "h1", turn, tt.tried)
				if verdict != tt.verdict || (verdict == Found && id(e) != tt.want) {
					t.Errorf("turn %d: picked %s, verdict %d, want %s, %d", turn, id(e), verdict, tt.want, tt.verdict)
				}
			}
		})
	}
}

func TestServerGoesRoundRobinAmongItsWorkers(t *testing.T) {
	workers := many(3, server("h1"))
	v := view(append(workers, many(5, server("h2"))...)...)
	counts := map[*Entry]int{}
	for turn := range uint64(30) {
		e, _ := v.Server(wants(0), "h1", turn, &Tried{})
		counts[e]++
	}
	for _, w := range workers {
		if counts[w] != 10 {
			t.Errorf("worker %s had %d of 30 messages, want 10", id(w), counts[w])
		}
	}
}

func TestServerOfALargeFleet(t *testing.T) {
	entries := many(1000)
	v := view(entries...)
	for _, e := range entries {
		if got, verdict := v.Server(wants(4), e.Server, 0, &Tried{}); got != e {
			t.Fatalf("%s: picked %s, verdict %d", e.Server, id(got), verdict)
		}
	}
}

func TestAllReachesAndSkips(t *testing.T) {
	old := implements(base(1))
	v := view(
		entry("active"), entry("held", state(rpc.StateHeld)), entry("draining", state(rpc.StateDraining)),
		entry("down", health(carrier.Down)), entry("unknown", implements()),
		entry("met", lingering(carrier.Ready)), entry("lost", lingering(carrier.Down)),
		entry("old", old), entry("old-held", old, state(rpc.StateHeld)),
		entry("old-draining", old, state(rpc.StateDraining)), entry("old-lost", old, lingering(carrier.Idle)),
	)
	reached, draining, skipped := v.All(wants(4))
	if got, want := ids(reached), []string{"active", "down", "held", "met", "unknown"}; !slices.Equal(got, want) {
		t.Errorf("reached %v, want %v", got, want)
	}
	if got, want := ids(draining), []string{"draining", "old-draining"}; !slices.Equal(got, want) {
		t.Errorf("draining %v, want %v", got, want)
	}
	if got, want := ids(skipped), []string{"old", "old-held"}; !slices.Equal(got, want) {
		t.Errorf("skipped %v, want %v", got, want)
	}
}

func TestAllReachesBeyondTheWarmSet(t *testing.T) {
	entries := many(10 * warmAll)
	reached, _, skipped := view(entries...).All(wants(0))
	if !slices.Equal(ids(reached), ids(entries)) || len(skipped) != 0 {
		t.Errorf("reached %d and skipped %d of %d", len(reached), len(skipped), len(entries))
	}
}

func TestUnableNamesThoseMeant(t *testing.T) {
	old := implements(base(1))
	v := view(
		entry("a", server("h1"), old), entry("b", server("h2"), old), entry("can", server("h2")),
		entry("draining", server("h1"), old, state(rpc.StateDraining)), entry("lost", server("h1"), old, lingering(carrier.Down)),
	)
	for server, want := range map[string][]string{"": {"a", "b"}, "h1": {"a", "draining"}, "h2": {"b"}, "h3": {}} {
		if got := ids(v.Unable(wants(4), server)); !slices.Equal(got, want) {
			t.Errorf("server %q: %v are unable, want %v", server, got, want)
		}
	}
}

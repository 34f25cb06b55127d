package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// world generates random fleets and messages. The same seed generates the same ones.
type world struct{ *rand.Rand }

func newWorld(number int) world { return world{rand.New(rand.NewPCG(uint64(number), 5))} }

func pickOne[T any](w world, list ...T) T { return list[w.IntN(len(list))] }

func (w world) implementations() []rpc.Implementation {
	list := make([]rpc.Implementation, w.IntN(4)) // none means unknown
	for i := range list {
		list[i] = rpc.Implementation{
			Namespace: pickOne(w, "", "x"), Version: rpc.Version{Major: 1 + w.Uint32N(2), Minor: w.Uint32N(3), Revision: w.Uint32N(2)},
		}
	}
	return list
}

func (w world) entries() []*Entry {
	entries := make([]*Entry, pickOne(w, w.IntN(8), w.IntN(8), 50+w.IntN(100)))
	for i := range entries {
		entries[i] = entry(fmt.Sprint(i),
			server(pickOne(w, "", "h1", "h2", "h3")),
			state(pickOne(w, rpc.StateActive, rpc.StateActive, rpc.StateHeld, rpc.StateDraining, "new")),
			health(carrier.Health(w.IntN(4))), implements(w.implementations()...),
			func(e *Entry) { e.Lingering = w.IntN(4) == 0 })
	}
	return entries
}

func (w world) query() Query {
	return Query{Namespace: pickOne(w, "", "x"), Version: rpc.Version{Major: 1 + w.Uint32N(2), Minor: w.Uint32N(3), Revision: w.Uint32N(2)}}
}

func (w world) tried(entries []*Entry) *Tried {
	var t Tried
	share := w.IntN(4)
	for _, e := range entries {
		if w.IntN(3) < share {
			t.Add(e)
		}
	}
	return &t
}

// The following functions state the rules differently than the code does.

func serves(e *Entry, q Query) bool {
	for _, i := range e.Implemented {
		if i.Namespace == q.Namespace && i.Version.Serves(q.Version) {
			return true
		}
	}
	return len(e.Implemented) == 0
}

func there(e *Entry) bool { return !e.Lingering || e.Link.Health().Connected() }

// class is a health as the choice sees it: ready and idle are equally good.
func class(e *Entry) carrier.Health { return max(e.Link.Health(), carrier.Idle) }

// choose returns the entries in meant that may be chosen, or the verdict if there are none.
func choose(meant []*Entry, q Query, tried *Tried, nobody Verdict) ([]*Entry, Verdict) {
	able := slices.DeleteFunc(slices.Clone(meant), func(e *Entry) bool { return !there(e) || !serves(e, q) })
	open := slices.DeleteFunc(slices.Clone(able), tried.has)
	switch {
	case len(open) > 0:
		best := class(slices.MinFunc(open, func(a, b *Entry) int { return int(class(a) - class(b)) }))
		return slices.DeleteFunc(open, func(e *Entry) bool { return class(e) != best }), Found
	case len(able) > 0:
		return nil, Exhausted
	case !slices.ContainsFunc(meant, there):
		return nil, nobody
	case slices.ContainsFunc(meant, func(e *Entry) bool { return !there(e) && serves(e, q) }):
		return nil, Away
	default:
		return nil, Unable
	}
}

func matching(entries []*Entry, keep func(*Entry) bool) []*Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e *Entry) bool { return !keep(e) })
}

func allowedForAny(entries []*Entry, q Query, tried *Tried) ([]*Entry, Verdict) {
	takers := matching(entries, func(e *Entry) bool { return e.State != rpc.StateDraining })
	return chooseActive(takers, q, tried, NoInstance)
}

// chooseActive chooses among the active entries, and among the others only if no active one may be
// chosen.
func chooseActive(meant []*Entry, q Query, tried *Tried, nobody Verdict) ([]*Entry, Verdict) {
	active := matching(meant, func(e *Entry) bool { return e.State != rpc.StateHeld && e.State != rpc.StateDraining })
	if allowed, verdict := choose(active, q, tried, nobody); verdict == Found {
		return allowed, verdict
	}
	return choose(meant, q, tried, nobody)
}

func allowedForServer(entries []*Entry, q Query, server string, tried *Tried) ([]*Entry, Verdict) {
	return chooseActive(matching(entries, func(e *Entry) bool { return e.Server == server }), q, tried, NoServer)
}

// TestPicksKeepTheRules compares choices with the rules on random fleets.
func TestPicksKeepTheRules(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 500
	}
	for number := range rounds {
		w := newWorld(number)
		entries := w.entries()
		v := NewView(entries, w.Uint64())
		for range 8 {
			q, tried, turn, name := w.query(), w.tried(entries), w.Uint64(), pickOne(w, "h1", "h2", "h3", "h4")
			got, verdict := v.Any(q, turn, tried)
			allowed, want := allowedForAny(entries, q, tried)
			judge(t, fmt.Sprintf("world %d, any, %v", number, q), got, verdict, allowed, want)
			got, verdict = v.Server(q, name, turn, tried)
			allowed, want = allowedForServer(entries, q, name, tried)
			judge(t, fmt.Sprintf("world %d, server %s, %v", number, name, q), got, verdict, allowed, want)
		}
	}
}

func judge(t *testing.T, what string, got *Entry, verdict Verdict, allowed []*Entry, want Verdict) {
	t.Helper()
	if verdict != want {
		t.Fatalf("%s: verdict %d, want %d", what, verdict, want)
	}
	if (verdict == Found) != (got != nil) || (got != nil && !slices.Contains(allowed, got)) {
		t.Fatalf("%s: picked %s, where the rules allow %v", what, id(got), ids(allowed))
	}
}

// TestEveryCandidateHasItsTurn checks that each allowed entry of a small, healthy fleet is chosen
// in some turn.
func TestEveryCandidateHasItsTurn(t *testing.T) {
	for number := range 300 {
		w := newWorld(number)
		entries := w.entries()
		if len(entries) > warmAll {
			continue
		}
		for _, e := range entries {
			health(carrier.Ready)(e)
		}
		v, q := NewView(entries, 1), w.query()
		allowed, _ := allowedForAny(entries, q, &Tried{})
		seen := map[*Entry]bool{}
		for turn := range uint64(len(entries)) {
			if e, verdict := v.Any(q, turn, &Tried{}); verdict == Found {
				seen[e] = true
			}
		}
		if len(seen) != len(allowed) {
			t.Errorf("world %d: %d of %d candidates had a turn", number, len(seen), len(allowed))
		}
	}
}

// TestPicksAreConcurrent is for the race detector: goroutines choose from views while healths
// change and new queries are added.
func TestPicksAreConcurrent(t *testing.T) {
	entries := newWorld(1).entries()
	entries = append(entries, many(200)...)
	v := NewView(entries, 1)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			w := newWorld(worker)
			for range 500 {
				q := Query{Namespace: pickOne(w, "", "x"), Version: rpc.Version{Major: 1, Minor: w.Uint32N(2 * maxCached)}}
				tried := w.tried(entries[:3])
				if e, verdict := v.Any(q, w.Uint64(), tried); verdict == Found && (tried.has(e) || !serves(e, q)) {
					t.Errorf("picked %s for %v", id(e), q)
				}
				if e, verdict := v.Server(q, "host-7", w.Uint64(), tried); verdict == Found && e.Server != "host-7" {
					t.Errorf("picked %s of %s", id(e), e.Server)
				}
				v.All(q)
				health(carrier.Health(w.IntN(4)))(pickOne(w, entries...))
			}
		})
	}
	all.Wait()
}

func TestManyQueriesAreNotAllKept(t *testing.T) {
	v := view(many(10)...)
	for round := range 3 {
		for minor := range uint32(10 * maxCached) {
			want := Found
			if minor > 4 {
				want = Unable
			}
			if _, got := v.Any(wants(minor), 0, &Tried{}); got != want {
				t.Fatalf("round %d: version 1.%d: verdict %d, want %d", round, minor, got, want)
			}
			if n := len(*v.able.known.Load()); n > maxCached {
				t.Fatalf("%d queries are kept, want at most %d", n, maxCached)
			}
		}
	}
	// A repeated query stays cached, however many others came before it.
	if first, again := v.ableTo(wants(3)), v.ableTo(wants(3)); first != again {
		t.Error("a query that just came is not kept")
	}
}

func TestOneOfManyCallersLearns(t *testing.T) {
	v := view(many(1000)...)
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		found = map[*able]bool{}
	)
	for range 8 {
		all.Go(func() {
			a := v.ableTo(wants(0))
			mu.Lock()
			defer mu.Unlock()
			found[a] = true
		})
	}
	all.Wait()
	if len(found) != 1 {
		t.Errorf("%d callers did the same work", len(found))
	}
}

// TestCommonIsWhatTheCeilingAllows compares both on random fleets.
func TestCommonIsWhatTheCeilingAllows(t *testing.T) {
	common := 0
	for number := range 300 {
		w := newWorld(number)
		v, q := NewView(w.entries(), 1), w.query()
		for _, server := range []string{"", "h1", "nobody"} {
			want := v.Ceiling(Interface{Namespace: q.Namespace, Major: q.Version.Major}, server).Allows(q.Version)
			if got := v.Common(q, server); got != want {
				t.Errorf("world %d: of %q, %v is common: %v, want %v", number, server, q, got, want)
			}
			if want {
				common++
			}
			if n := testing.AllocsPerRun(1, func() { v.Common(q, server) }); n != 0 {
				t.Errorf("world %d: %v allocations", number, n)
			}
		}
	}
	if common < 20 {
		t.Errorf("only %d queries were common", common)
	}
}

package route

import (
	"slices"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Verdict says why a pick found no instance.
type Verdict uint8

// The verdicts.
const (
	// Found: the pick found an entry.
	Found Verdict = iota
	// NoInstance: no instance on the topic accepts messages for any server.
	NoInstance
	// NoServer: no instance has the server name.
	NoServer
	// Unable: there are instances, but none implements what the message needs.
	Unable
	// Away: like Unable, but an instance that implements it vanished recently and may come back.
	Away
	// Exhausted: all possible instances were tried.
	Exhausted
)

// Tried are the entries that were tried for a message and are not to be picked again. The zero
// value is empty.
type Tried struct {
	few [8]*Entry
	n   int
	// many are the entries beyond few. A pick asks about every entry that it passes, so a list would
	// be too slow for thousands of entries.
	many map[*Entry]struct{}
}

// Add adds an entry.
func (t *Tried) Add(e *Entry) {
	if t.n < len(t.few) {
		t.few[t.n] = e
		t.n++
		return
	}
	if t.many == nil {
		t.many = map[*Entry]struct{}{}
	}
	t.many[e] = struct{}{}
}

// Reset forgets all entries.
func (t *Tried) Reset() { *t = Tried{} }

func (t *Tried) has(e *Entry) bool {
	if t.n == 0 {
		return false
	}
	_, late := t.many[e]
	return late || slices.Contains(t.few[:t.n], e)
}

// some reports whether one of the entries could be picked if it had not been tried. A nil q means
// that all entries can serve the message.
func (t *Tried) some(entries []*Entry, q *Query) bool {
	return t.n > 0 && slices.ContainsFunc(entries, func(e *Entry) bool {
		return t.has(e) && e.usable() && (q == nil || e.canServe(*q))
	})
}

// Any picks an instance for a message that names no server. Turn is the message's position in the
// client's round robin. Any prefers instances in the client's zone. Among these it prefers
// instances that are connected or were never tried; the others follow in order of health. It picks
// from another zone if no instance in the client's zone is likely to take the message; see takes.
// It never picks draining instances, and picks held ones only as a last resort.
func (v *View) Any(q Query, turn uint64, tried *Tried) (*Entry, Verdict) {
	a := v.ableTo(q)
	best := a.near.best(nil, turn, tried)
	if !takes(best) {
		best = a.far.best(best, turn, tried)
	}
	if best == nil {
		best = better(nil, a.near.held, nil, turn, tried)
		if !takes(best) {
			best = better(best, a.far.held, nil, turn, tried)
		}
	}
	if best != nil {
		return best, Found
	}
	return nil, a.missing(tried)
}

// best returns the best entry among best, which may be nil, and the candidates that are not held.
func (c *candidates) best(best *Entry, turn uint64, tried *Tried) *Entry {
	best = better(best, c.any, nil, turn, tried)
	if !takes(best) {
		best = better(best, c.reserve, nil, turn, tried)
	}
	return best
}

// takes reports whether an entry is likely to take a message. A busy entry is, because load alone
// is no reason to connect to more instances, or to leave the zone.
func takes(e *Entry) bool { return e != nil && e.Link.Health() <= carrier.Busy }

// missing says why there is no candidate.
func (a *able) missing(tried *Tried) Verdict {
	lists := a.lists()
	switch {
	case slices.ContainsFunc(lists[:], func(list []*Entry) bool { return tried.some(list, nil) }):
		return Exhausted
	case !slices.ContainsFunc(a.unable, (*Entry).public):
		return NoInstance
	case slices.ContainsFunc(lists[:], func(list []*Entry) bool { return slices.ContainsFunc(list, (*Entry).away) }):
		return Away
	default:
		return Unable
	}
}

// Server picks an instance for a message to a named server. Of several instances with that name it
// picks the next in turn, with the preferences of Any. It picks a draining instance only if there
// is no other.
func (v *View) Server(q Query, server string, turn uint64, tried *Tried) (*Entry, Verdict) {
	named := v.named()[server]
	best := better(nil, named.all[:named.open], &q, turn, tried)
	if best == nil {
		best = better(nil, named.all[named.open:], &q, turn, tried)
	}
	switch {
	case best != nil:
		return best, Found
	case tried.some(named.all, &q):
		return nil, Exhausted
	case !slices.ContainsFunc(named.all, func(e *Entry) bool { return e.usable() && !e.canServe(q) }):
		return nil, NoServer
	case slices.ContainsFunc(named.all, func(e *Entry) bool { return e.away() && e.canServe(q) }):
		return nil, Away
	default:
		return nil, Unable
	}
}

// All returns the instances that a fanout reaches, the instances that it skips because they drain,
// and the instances that cannot serve the message.
func (v *View) All(q Query) (reached, draining, unable []*Entry) {
	a := v.ableTo(q)
	for _, list := range a.lists() {
		for _, e := range list {
			if e.usable() {
				reached = append(reached, e)
			}
		}
	}
	for _, e := range v.entries {
		if e.State == rpc.StateDraining && e.usable() {
			draining = append(draining, e)
		}
	}
	return reached, draining, v.Unable(q, "")
}

// Unable returns the intended instances of a message that cannot serve it: the instances of its
// server, or all instances if it names none.
func (v *View) Unable(q Query, server string) []*Entry {
	var list []*Entry
	for _, e := range v.ableTo(q).unable {
		if server != "" && server == e.Server && e.usable() || server == "" && e.public() {
			list = append(list, e)
		}
	}
	return list
}

// enough is how many busy candidates a pick compares. The least loaded of them is good enough.
const enough = 8

// better returns the healthiest entry among best, which may be nil, and the candidates that can
// serve q. A nil q means that all candidates can serve the message. Among entries of equal health
// it returns the first in turn, or the least loaded if they are busy. Usually it looks at one
// candidate only, because that one is fit.
func better(best *Entry, candidates []*Entry, q *Query, turn uint64, tried *Tried) *Entry {
	n := uint64(len(candidates))
	if n == 0 {
		return best
	}
	turn %= n // turn+i must not overflow, or candidates would be skipped
	busy := 0
	for i := range n {
		e := candidates[(turn+i)%n]
		if tried.has(e) || !e.usable() || (q != nil && !e.canServe(*q)) {
			continue
		}
		if fit(e) {
			return e
		}
		if e.Link.Health() == carrier.Busy {
			busy++
		}
		if best == nil || preferred(e, best) {
			best = e
		}
		if busy == enough {
			break
		}
	}
	return best
}

// preferred reports whether a is better than b, which comes before it in turn.
func preferred(a, b *Entry) bool {
	h := a.Link.Health()
	switch g := b.Link.Health(); {
	case h != g:
		return h < g
	case h == carrier.Busy:
		return a.Link.Outstanding() < b.Link.Outstanding()
	default:
		return false
	}
}

// fit reports whether the entry is healthy and idle.
func fit(e *Entry) bool { return e != nil && e.Link.Health() <= carrier.Idle }

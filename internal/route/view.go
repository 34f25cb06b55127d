// Package route decides where a message goes. A [View] is one immutable state of a topic's
// instances. A pick from a view is a pure function of the view, the message and the health of the
// peers. It costs the same for a fleet of any size.
package route

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Entry is an instance that a message can be sent to.
type Entry struct {
	rpc.Instance
	// Link leads to the instance's process.
	Link carrier.Link
	// Unlisted instances are no longer in discovery, and may still run.
	Unlisted bool
	// Lingering instances vanished from discovery without saying why. They count only while they are
	// connected.
	Lingering bool
	// Left instances no longer accept messages, according to themselves or to the process at their
	// address. They are not picked, and only show that a server may come back.
	Left bool
	// Astray is the error of another process that was recently reached at the address of the
	// instance; nil if none was. Such instances stay listed, and are not used for a while.
	Astray error
	// Unproven instances have a certificate for another name, according to the last attempt to send
	// them a message. They do not count for ceilings.
	Unproven bool
}

func (e *Entry) usable() bool {
	return !e.Left && e.Astray == nil && (!e.Lingering || e.Link.Health().Connected())
}

// away reports whether the entry cannot be used now, but may come back.
func (e *Entry) away() bool { return !e.usable() }

// open reports whether the instance is neither draining nor held, so that every message is welcome.
func (e *Entry) open() bool { return e.State != rpc.StateDraining && e.State != rpc.StateHeld }

// public reports whether messages that name no server may go to the entry.
func (e *Entry) public() bool { return e.State != rpc.StateDraining && e.usable() }

// canServe reports whether an endpoint of the instance is compatible with the query. An instance
// that does not report what it implements may be compatible.
func (e *Entry) canServe(q Query) bool {
	if len(e.Implemented) == 0 || q.Anyone {
		return true
	}
	return slices.ContainsFunc(e.Implemented, func(i rpc.Implementation) bool {
		return i.Namespace == q.Namespace && i.Version.Serves(q.Version)
	})
}

// Query says what a message needs.
type Query struct {
	// Namespace and Version are the interface; the version is never absent here.
	Namespace string
	Version   rpc.Version
	// Anyone means that the message may go to any instance, whatever the instance reports about its
	// versions. The instance itself decides whether it can serve the message.
	Anyone bool
}

// View is one state of a topic's instances. It is immutable, and safe for concurrent use.
type View struct {
	entries []*Entry
	seed    uint64
	zone    string // of the client; empty if it has none
	// ordered returns the entries in the order in which this client uses them, and named the
	// entries of each server. Both are computed at first use: in a large fleet that changes all the
	// time, most views are replaced before anything is picked from them.
	ordered func() []*Entry
	named   func() map[string]namesakes
	// byID returns the entries by their ids. It is computed at first use.
	byID func() map[string]*Entry
	able cache[Query, able]
	// ceilings are the ceilings over all instances on the topic.
	ceilings cache[Interface, settledCeiling]
}

// able are the instances that can serve a query, and those that cannot.
type able struct {
	// near are in the client's zone, and far are elsewhere. All are near if the client has no zone.
	near, far candidates
	// unable are the entries that cannot serve the query.
	unable []*Entry
}

// candidates are the entries for a message to any server.
type candidates struct {
	// any are the entries that are neither held nor draining. In a large fleet it has only the warm
	// set, and reserve has the others; see warmAll.
	any, reserve []*Entry
	// held are candidates if there are no others.
	held []*Entry
}

// lists returns all candidates.
func (a *able) lists() [6][]*Entry {
	return [...][]*Entry{a.near.any, a.near.reserve, a.far.any, a.far.reserve, a.near.held, a.far.held}
}

// namesakes are the instances with the same server name. Instances for which open is true come
// first, then the held and the draining ones.
type namesakes struct {
	all  []*Entry
	open int // how many of all are open; they come first
}

// A client uses all instances of a fleet of up to warmAll. Of a larger fleet, each client chooses
// warmSet instances for messages to any server, so that a thousand clients of a thousand servers do
// not make a million connections.
const (
	warmAll = 64
	warmSet = 32
)

// NewView returns the view of entries, which must not be changed afterwards. Seed identifies the
// client. It decides which instances of a large fleet the client uses.
func NewView(entries []*Entry, seed uint64) *View { return NewViewIn("", entries, seed) }

// NewViewIn is NewView for a client in a zone: messages for any server prefer the instances there.
func NewViewIn(zone string, entries []*Entry, seed uint64) *View {
	v := &View{entries: entries, seed: seed, zone: zone}
	v.ordered, v.named, v.byID = sync.OnceValue(v.order), sync.OnceValue(v.index), sync.OnceValue(v.identify)
	return v
}

// Instance returns the entry of an instance, or nil if there is none.
func (v *View) Instance(id string) *Entry { return v.byID()[id] }

func (v *View) identify() map[string]*Entry {
	byID := make(map[string]*Entry, len(v.entries))
	for _, e := range v.entries {
		byID[e.ID] = e
	}
	return byID
}

// Astray returns the instances whose address leads to another process. If server is not empty, it
// returns only the instances of that server.
func (v *View) Astray(server string) []*Entry {
	var list []*Entry
	for _, e := range v.entries {
		if e.Astray != nil && (server == "" || server == e.Server) {
			list = append(list, e)
		}
	}
	return list
}

// Entries returns all entries. They must not be changed.
func (v *View) Entries() []*Entry { return v.entries }

func (v *View) ableTo(q Query) *able {
	if a := v.able.find(q); a != nil {
		return a
	}
	return v.able.learn(q, v.sort)
}

// sort sorts the entries into the lists for a query.
func (v *View) sort(q Query) *able {
	a := &able{}
	for _, e := range v.ordered() {
		c := &a.near
		if v.zone != "" && e.Zone != v.zone {
			c = &a.far
		}
		switch {
		case !e.canServe(q):
			a.unable = append(a.unable, e)
		case e.State == rpc.StateDraining:
		case e.State == rpc.StateHeld:
			c.held = append(c.held, e)
		default:
			c.any = append(c.any, e)
		}
	}
	a.near.warm()
	a.far.warm()
	return a
}

// warm moves the entries beyond the warm set from any into reserve, if there are more than warmAll.
func (c *candidates) warm() {
	if len(c.any) > warmAll {
		c.any, c.reserve = c.any[:warmSet], c.any[warmSet:]
	}
}

// index returns the entries of each server.
func (v *View) index() map[string]namesakes {
	sorted := slices.Clone(v.entries)
	slices.SortStableFunc(sorted, func(a, b *Entry) int {
		if c := strings.Compare(a.Server, b.Server); c != 0 || a.open() == b.open() {
			return c
		}
		if a.open() {
			return -1
		}
		return 1
	})
	named := make(map[string]namesakes, len(sorted))
	for len(sorted) > 0 {
		server, n, open := sorted[0].Server, 0, 0
		for ; n < len(sorted) && sorted[n].Server == server; n++ {
			if sorted[n].open() {
				open++
			}
		}
		named[server], sorted = namesakes{sorted[:n], open}, sorted[n:]
	}
	return named
}

// order sorts the entries of a large fleet by rendezvous hashing. Each client has its own order.
// When an instance joins or leaves, the order of the others does not change. A small fleet keeps
// its order.
func (v *View) order() []*Entry {
	if len(v.entries) <= warmAll {
		return v.entries
	}
	type ranked struct {
		rank  uint64
		entry *Entry
	}
	list := make([]ranked, len(v.entries))
	for i, e := range v.entries {
		list[i] = ranked{v.rank(e), e}
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	ordered := make([]*Entry, len(list))
	for i, r := range list {
		ordered[i] = r.entry
	}
	return ordered
}

func (v *View) rank(e *Entry) uint64 {
	// A static address has no id. This is FNV-1a, without the allocation of hash/fnv.
	x := uint64(14695981039346656037)
	for _, part := range [2]string{e.ID, e.Addr} {
		for i := range len(part) {
			x = (x ^ uint64(part[i])) * 1099511628211
		}
	}
	// With FNV alone, similar ids have a similar order for every seed. This is the finalizer of
	// MurmurHash3.
	x ^= v.seed
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

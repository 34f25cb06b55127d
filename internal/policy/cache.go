package policy

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// cached is the number of slots for verdicts. The hash of a query determines its slot, and a new
// verdict overwrites the old one there.
const cached = 1 << 10

// maxCached bounds the text of a cached query, in bytes.
const maxCached = 1 << 10

// cache caches verdicts. Callers choose the names in a query and so can cause misses. A miss must
// therefore cost hardly more than the evaluation of the rules.
type cache struct {
	seed  maphash.Seed
	slots []slot
}

type slot struct{ atomic.Pointer[entry] }

type entry struct {
	query   Query
	verdict int
}

func newCache() cache { return cache{seed: maphash.MakeSeed(), slots: make([]slot, cached)} }

// find returns the verdict on a query and a nil slot. If the verdict is not cached, it returns the
// slot for it.
func (c *cache) find(q *Query) (*slot, int) {
	s := &c.slots[c.hash(q)%cached]
	if e := s.Load(); e != nil && e.query.equals(q) {
		return nil, e.verdict
	}
	return s, Denied
}

// hash hashes the fields that differ most between queries. Queries with the same hash share a slot.
func (c *cache) hash(q *Query) uint64 {
	h := maphash.String(c.seed, q.Method) + 3*maphash.String(c.seed, q.Topic) + 5*maphash.String(c.seed, q.Server) + uint64(len(q.Delivery))
	if len(q.Caller.Names) > 0 {
		h += 7 * maphash.String(c.seed, q.Caller.Names[0])
	}
	return h
}

func (q *Query) equals(other *Query) bool {
	return q.Method == other.Method && q.Topic == other.Topic && q.Server == other.Server && q.Exchange == other.Exchange &&
		q.Namespace == other.Namespace && q.Delivery == other.Delivery && q.Service == other.Service &&
		slices.Equal(q.Caller.Names, other.Caller.Names)
}

// keep caches a verdict. It copies names, because they may share memory with a large message.
func (s *slot) keep(q *Query, verdict int) {
	if q.size() > maxCached {
		return
	}
	copied := Query{
		Caller:   rpc.Identity{Names: q.Caller.Names},
		Exchange: strings.Clone(q.Exchange), Topic: strings.Clone(q.Topic), Namespace: strings.Clone(q.Namespace),
		Server: strings.Clone(q.Server), Method: strings.Clone(q.Method), Service: strings.Clone(q.Service), Delivery: q.Delivery,
	}
	s.Store(&entry{copied, verdict})
}

func (q *Query) size() int {
	n := len(q.Exchange) + len(q.Topic) + len(q.Namespace) + len(q.Server) + len(q.Method) + len(q.Service)
	for _, name := range q.Caller.Names {
		n += len(name)
	}
	return n
}

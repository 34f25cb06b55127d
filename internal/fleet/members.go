package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/route"
)

const (
	// lingerTime is how long an instance is kept that vanished from the registry: a registry that restarted without its data has
	// it back by then, since servers look after their registration every few seconds.
	lingerTime = 30 * time.Second
	// recentTime is how long a named server that left is waited for.
	recentTime = 60 * time.Second
)

// member is an instance of a topic, listed or lately so.
type member struct {
	entry *route.Entry
	// since is when it vanished from the registry, zero while it is listed.
	since time.Time
	// gone is true if the instance itself said that it is not there. It stays a member so that a registry that lists it
	// still does not bring it back.
	gone bool
}

func (m *member) missing() bool { return !m.since.IsZero() }

// id tells instances apart; static addresses have nothing but their address.
type id struct{ id, addr, server string }

func identity(i discovery.Instance) id { return id{i.ID, i.Addr, i.Server} }

// members are the instances of a topic. It is not safe for concurrent use.
type members map[id]*member

// merge takes in what the registry says now. An instance that vanished lingers: whether it left or the registry lost it cannot be
// told from the list, but from its connection.
func (ms members) merge(u discovery.Update, now time.Time, pool *peer.Pool) {
	listed := make(map[id]bool, len(u.Instances))
	for _, i := range u.Instances {
		key := identity(i)
		listed[key] = true
		ms.list(key, i, pool)
	}
	for key, m := range ms {
		switch {
		case listed[key]:
		case m.gone:
			ms.drop(key, pool)
		case !m.missing():
			m.since = now
			if !u.Reset { // else the registry lost it, and it is believed to be there even if it is not connected
				m.entry = lingering(m.entry)
			}
		}
	}
}

// list takes in an instance that is listed.
func (ms members) list(key id, i discovery.Instance, pool *peer.Pool) {
	m, known := ms[key]
	if !known {
		link := pool.Get(peer.Key{Addr: i.Addr, BootID: i.BootID})
		ms[key] = &member{entry: &route.Entry{Instance: i, Link: link}}
		return
	}
	m.gone = m.gone && !m.missing()
	m.since = time.Time{}
	if !m.entry.Equal(i) || m.entry.Lingering {
		m.entry = &route.Entry{Instance: i, Link: m.entry.Link}
	}
}

// lingering returns a copy of an entry that lingers; views that have the entry are immutable.
func lingering(e *route.Entry) *route.Entry {
	copied := *e
	copied.Lingering = true
	return &copied
}

// expire drops the members that vanished too long ago and returns when the next one will have, zero if none.
func (ms members) expire(now time.Time, pool *peer.Pool) (next time.Time) {
	for key, m := range ms {
		if !m.missing() {
			continue
		}
		end := m.since.Add(lingerTime)
		switch {
		case !now.Before(end):
			ms.drop(key, pool)
		case next.IsZero() || end.Before(next):
			next = end
		}
	}
	return next
}

func (ms members) drop(key id, pool *peer.Pool) {
	pool.Put(Peer(ms[key].entry))
	delete(ms, key)
}

// entries returns what a view consists of, in a stable order, so that a round robin goes on where it was.
func (ms members) entries() []*route.Entry {
	list := make([]*route.Entry, 0, len(ms))
	for _, m := range ms {
		if !m.gone {
			list = append(list, m.entry)
		}
	}
	slices.SortFunc(list, func(a, b *route.Entry) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Addr, b.Addr), strings.Compare(a.Server, b.Server))
	})
	return list
}

func (ms members) clear(pool *peer.Pool) {
	for key := range ms {
		ms.drop(key, pool)
	}
}

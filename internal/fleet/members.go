package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// lingerTime is how long an instance is kept after it vanished from the registry. A registry that
	// restarted without its data has it back by then, because servers check their registration every
	// few seconds.
	lingerTime = 30 * time.Second
	// recentTime is how long messages wait for a named server that left.
	recentTime = 60 * time.Second
	// avoidTime is how long an instance is avoided after its address led to another process.
	avoidTime = 5 * time.Second
	// doubtTime is the interval at which an instance that did not prove its name is asked again.
	doubtTime = 30 * time.Second
)

// member is an instance of a topic that is listed, or was recently.
type member struct {
	entry *route.Entry
	// since is when it vanished from the registry. It is zero while it is listed.
	since time.Time
	// lost: it vanished because the registry lost its data. It counts as present even if it is not
	// connected.
	lost bool
	// unlisted: the link was told that the instance is gone.
	unlisted bool
	// left is true if the instance itself said that it is not there. It stays a member so that a
	// registry that still lists it does not bring it back, and because another instance may take its
	// place.
	left bool
	// there: since it vanished, it said itself that it is there. That is better evidence than the
	// registry. So when its time is over, it is asked again instead of being dropped.
	there bool
	// astray is until when it is avoided because its address led to another process. Stranger is what
	// that process said.
	astray   time.Time
	stranger error
	// doubted is when to ask again for proof of its name. It is zero if there is no doubt.
	doubted time.Time
}

func (m *member) missing() bool { return !m.since.IsZero() }

// show updates the member's entry. If something changed, it makes a new entry, because earlier
// views are immutable.
func (m *member) show(now time.Time) {
	if !now.Before(m.astray) {
		m.stranger = nil
	}
	missing, lingers, unproven := m.missing(), m.missing() && !m.lost, !m.doubted.IsZero()
	if gone := lingers || m.left; gone != m.unlisted {
		m.unlisted = gone
		m.entry.Link.Unlist(gone)
	}
	o := m.entry
	if o.Unlisted == missing && o.Lingering == lingers && o.Left == m.left && (o.Astray == nil) == (m.stranger == nil) && o.Unproven == unproven {
		return // nearly all entries are unchanged at any update
	}
	e := *o
	e.Unlisted, e.Lingering, e.Left, e.Astray, e.Unproven = missing, lingers, m.left, m.stranger, unproven
	m.entry = &e
}

// id distinguishes instances. Static addresses have nothing but their address. Boot belongs to the
// process at the address, which is a gateway if the instance is reached through one.
type id struct{ id, addr, server, boot string }

func idOf(i rpc.Instance) id { return id{i.ID, i.Addr, i.Server, i.BootID} }

// members are the instances of a topic. It is not safe for concurrent use.
type members map[id]*member

// merge applies an update of the registry. An instance that vanished lingers: the list does not say
// whether it left or the registry lost it, but its connection does.
func (ms members) merge(u registry.Update, now time.Time, c carrier.Carrier) {
	listed, ids := make(map[id]bool, len(u.Instances)), make(map[string]bool, len(u.Instances))
	for _, i := range u.Instances {
		key := idOf(i)
		listed[key], ids[i.ID] = true, true
		ms.list(key, i, c)
	}
	for key, m := range ms {
		switch {
		case listed[key]:
		case key.id != "" && ids[key.id]: // it is reached another way, such as through another gateway
			ms.drop(key, c)
		case !m.missing():
			m.since, m.lost = now, u.Reset
		}
	}
}

// list adds or updates a listed instance.
func (ms members) list(key id, i rpc.Instance, c carrier.Carrier) {
	m, known := ms[key]
	if !known {
		link := c.Get(carrier.KeyOf(i))
		ms[key] = &member{entry: &route.Entry{Instance: i, Link: link}}
		return
	}
	m.left = m.left && !m.missing()
	m.since, m.lost, m.there = time.Time{}, false, false
	if !m.entry.Equal(i) {
		e := *m.entry
		e.Instance = i
		m.entry = &e
	}
}

// linger restarts the time for which missing instances are kept.
func (ms members) linger(now time.Time) {
	for _, m := range ms {
		if m.missing() {
			m.since = now
		}
	}
}

// expire drops the members that vanished too long ago. A member that is connected, and said that it
// is there, lingers again; expire returns these members, to be asked again. While the registry
// cannot be read, absence means nothing, and keep is true.
func (ms members) expire(now time.Time, keep bool, c carrier.Carrier) (renewed []*member) {
	for key, m := range ms {
		switch {
		case !m.missing() || keep || now.Before(m.since.Add(lingerTime)):
		case m.there && !m.left && m.entry.Link.Health().Connected():
			m.since, m.lost, m.there = now, false, false
			renewed = append(renewed, m)
		default:
			ms.drop(key, c)
		}
	}
	return renewed
}

// doubtful returns the members that must now be asked for proof of their names.
func (ms members) doubtful(now time.Time) (list []*member) {
	for _, m := range ms {
		if !m.doubted.IsZero() && !now.Before(m.doubted) {
			m.doubted = now.Add(doubtTime)
			list = append(list, m)
		}
	}
	return list
}

// show updates all entries. It returns the time of the next change that happens without an event,
// or zero if there is none. Keep is as for expire.
func (ms members) show(now time.Time, keep bool) (next time.Time) {
	sooner := func(end time.Time) {
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	for _, m := range ms {
		m.show(now)
		if m.stranger != nil {
			sooner(m.astray)
		}
		if m.missing() && !keep {
			sooner(m.since.Add(lingerTime))
		}
		if !m.doubted.IsZero() {
			sooner(m.doubted)
		}
	}
	return next
}

func (ms members) drop(key id, c carrier.Carrier) {
	m := ms[key]
	c.Put(m.entry.Link)
	if m.unlisted {
		m.entry.Link.Unlist(false) // it no longer counts
	}
	delete(ms, key)
}

// entries returns the entries of a view in a stable order, so that a round robin continues where it
// was.
func (ms members) entries() []*route.Entry {
	list := make([]*route.Entry, 0, len(ms))
	for _, m := range ms {
		list = append(list, m.entry)
	}
	slices.SortFunc(list, func(a, b *route.Entry) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Addr, b.Addr), strings.Compare(a.Server, b.Server))
	})
	return list
}

func (ms members) clear(c carrier.Carrier) {
	for key := range ms {
		ms.drop(key, c)
	}
}

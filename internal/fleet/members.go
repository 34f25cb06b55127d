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
	// lingerTime is how long an instance is kept after it vanished from the registry. If the
	// registry restarted without its data, the instance is registered again by then, because
	// servers check their registration every few seconds.
	lingerTime = 30 * time.Second
	// recentTime is how long messages wait for a named server that left.
	recentTime = 60 * time.Second
	// avoidTime is how long an instance is avoided after its address led to another process.
	avoidTime = 5 * time.Second
	// doubtTime is the interval at which the process of an instance that did not prove its name is
	// pinged again.
	doubtTime = 30 * time.Second
)

// member is an instance of a topic that is listed, or was recently.
type member struct {
	entry *route.Entry
	// since is when it vanished from the registry. It is zero while it is listed.
	since time.Time
	// lost is true if it vanished because the registry lost its data. It counts as present even if
	// it is not connected.
	lost bool
	// unlisted is true if the link was told, by Unlist, that the instance is no longer listed or
	// has left.
	unlisted bool
	// left is true if the instance no longer accepts messages, according to itself or to the
	// process at its address. It stays a member so that a registry that still lists it does not
	// bring it back, and because another instance may take its place.
	left bool
	// there is true if, after it vanished from the registry, the instance itself confirmed that it
	// runs. That is better evidence than the registry. So after lingerTime it is asked again
	// instead of being dropped.
	there bool
	// astray is the end of the time for which it is avoided, because its address led to another
	// process. Stranger is the error of that process; nil if it is not avoided.
	astray   time.Time
	stranger error
	// doubted is when to ask again for proof of its name. It is zero if it has not failed to prove
	// its name.
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
		return // as for nearly all entries at each update
	}
	e := *o
	e.Unlisted, e.Lingering, e.Left, e.Astray, e.Unproven = missing, lingers, m.left, m.stranger, unproven
	m.entry = &e
}

// id distinguishes instances. A static address has no instance id and no boot id. Boot is the boot
// id of the process at the address, which is a gateway if the instance is reached through one.
type id struct{ id, addr, server, boot string }

func idOf(i rpc.Instance) id { return id{i.ID, i.Addr, i.Server, i.BootID} }

// members are the instances of a topic. It is not safe for concurrent use.
type members map[id]*member

// merge applies an update of the registry. An instance that is no longer listed lingers for a
// while: the registry does not say whether the instance left or the registry lost it, but the
// connection to the instance shows that.
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

// linger restarts the lingerTime of all missing instances.
func (ms members) linger(now time.Time) {
	for _, m := range ms {
		if m.missing() {
			m.since = now
		}
	}
}

// expire drops the members that have been missing for lingerTime. A member that is connected, and
// has confirmed that it runs, lingers again; expire returns these members, to be asked again. If
// keep is true, expire drops none: the registry cannot be read, so that absence from it means
// nothing.
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

// show updates all entries. It returns the next time at which a member must be examined again
// without an event, or zero if there is none. Keep is as for expire.
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
		m.entry.Link.Unlist(false) // undo the link's count of unlisted instances
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

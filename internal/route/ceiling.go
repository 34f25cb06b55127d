package route

import (
	"slices"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Ceiling is the latest version of an interface that every instance implements, or the reason why
// there is none.
type Ceiling struct {
	State CeilingState
	// Version is the ceiling, if the state is Known.
	Version rpc.Version
	// Holders are the instances that set the ceiling. Depending on State, they implement no more
	// than Version, implement only other major versions, or do not report what they implement.
	Holders []*Entry
	// Next is the ceiling without the holders, if Rises is true. The ceiling rises to it when they are
	// upgraded or leave.
	Next  rpc.Version
	Rises bool
}

// CeilingState says whether there is a ceiling.
type CeilingState uint8

// The states of a ceiling.
const (
	// Known: there is a ceiling.
	Known CeilingState = iota
	// Absent: no instance implements the interface.
	Absent
	// MajorMismatch: an instance implements only other major versions of the namespace, so there is no
	// common version.
	MajorMismatch
	// Unreported: an instance does not report what it implements.
	Unreported
)

// Allows reports whether every instance can serve a message of this version.
func (c *Ceiling) Allows(v rpc.Version) bool { return c.State == Known && c.Version.Serves(v) }

// Interface is a major version of a namespace; see [rpc.Interface].
type Interface = rpc.Interface

// Ceiling returns the ceiling of an interface over the instances for messages to any server, or
// over the instances of a named server. Instances that implement nothing of the namespace do not
// count: they are not old, but have another purpose. Instances that did not prove their names do
// not count either, unless a server is named.
func (v *View) Ceiling(i Interface, server string) *Ceiling {
	if server != "" {
		return ceiling(i, slices.DeleteFunc(slices.Clone(v.named()[server].all), func(e *Entry) bool { return !e.usable() }))
	}
	known := v.ceilings.find(i)
	if known == nil {
		known = v.ceilings.learn(i, v.settled)
	}
	if len(known.vanished) == 0 {
		return &known.Ceiling
	}
	return ceiling(i, slices.DeleteFunc(slices.Clone(v.entries), func(e *Entry) bool { return !e.public() || e.Unproven }))
}

// CeilingOf returns the ceiling of an interface over a list of instances. Draining instances do not
// count.
func CeilingOf(i Interface, list []rpc.Instance) *Ceiling {
	var counted []*Entry
	for _, instance := range list {
		if instance.State != rpc.StateDraining {
			counted = append(counted, &Entry{Instance: instance})
		}
	}
	return ceiling(i, counted)
}

// Common reports whether the ceiling that Ceiling would return allows the query's version. It
// allocates nothing, because each message of a client with an automatic cap may call it.
func (v *View) Common(q Query, server string) bool {
	i := Interface{Namespace: q.Namespace, Major: q.Version.Major}
	if server != "" {
		return allServe(q, i, v.named()[server].all, (*Entry).usable, false)
	}
	known := v.ceilings.find(i)
	if known == nil {
		known = v.ceilings.learn(i, v.settled)
	}
	if known.State != Absent && !known.Allows(q.Version) {
		return false
	}
	return allServe(q, i, known.vanished, (*Entry).public, known.State == Known)
}

// allServe reports whether every entry that counts and implements the interface serves the query.
// It returns false if no entry implements the interface, unless some is true: then another list has
// one.
func allServe(q Query, i Interface, entries []*Entry, counts func(*Entry) bool, some bool) bool {
	for _, e := range entries {
		if !counts(e) {
			continue
		}
		switch state, version := e.highest(i); {
		case state == Absent:
		case state != Known || !version.Serves(q.Version):
			return false
		default:
			some = true
		}
	}
	return some
}

// settledCeiling is the part of a ceiling that does not depend on which instances are connected
// now.
type settledCeiling struct {
	Ceiling

	// vanished are the lingering instances, which count only while they are connected.
	vanished []*Entry
}

// settled returns the settled ceiling of an interface. It leaves out instances that did not prove
// their names, unless no other instance implements the interface.
func (v *View) settled(i Interface) *settledCeiling {
	s := v.settledOver(i, func(e *Entry) bool { return !e.Unproven })
	if s.State == Absent && len(s.vanished) == 0 {
		return v.settledOver(i, func(*Entry) bool { return true })
	}
	return s
}

func (v *View) settledOver(i Interface, counts func(*Entry) bool) *settledCeiling {
	s := &settledCeiling{}
	var counted []*Entry
	for _, e := range v.entries {
		if e.Left || e.Astray != nil || !counts(e) {
			continue
		}
		if e.Lingering {
			s.vanished = append(s.vanished, e)
		} else if e.State != rpc.StateDraining {
			counted = append(counted, e)
		}
	}
	s.Ceiling = *ceiling(i, counted)
	return s
}

// ceiling returns the ceiling over some entries.
func ceiling(i Interface, entries []*Entry) *Ceiling {
	c := lowest(i, entries)
	rest := lowest(i, slices.DeleteFunc(slices.Clone(entries), func(e *Entry) bool {
		state, version := e.highest(i)
		return state == c.State && version == c.Version // the entry is a holder
	}))
	c.Next, c.Rises = rest.Version, rest.State == Known
	return c
}

// lowest returns the ceiling without Next. An instance that does not report its versions decides
// the ceiling, since it might implement any version.
func lowest(i Interface, entries []*Entry) *Ceiling {
	c := &Ceiling{State: Absent}
	for _, e := range entries {
		state, version := e.highest(i)
		switch {
		case state == Absent:
		case c.State == Absent, state > c.State, state == Known && c.State == Known && version.Compare(c.Version) < 0:
			c.State, c.Version, c.Holders = state, version, []*Entry{e}
		case state == c.State && version == c.Version:
			c.Holders = append(c.Holders, e)
		}
	}
	return c
}

// highest returns the highest version of an interface that the entry implements, or why there is
// none.
func (e *Entry) highest(i Interface) (CeilingState, rpc.Version) {
	if len(e.Implemented) == 0 {
		return Unreported, rpc.Version{}
	}
	state, highest := Absent, rpc.Version{}
	for _, offered := range e.Implemented {
		switch {
		case offered.Namespace != i.Namespace:
		case offered.Version.Major != i.Major:
			if state == Absent {
				state = MajorMismatch
			}
		case state != Known || offered.Version.Compare(highest) > 0:
			state, highest = Known, offered.Version
		}
	}
	return state, highest
}

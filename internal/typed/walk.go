package typed

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// walk finds out what a message needs. It is passed by value, for it would move to the heap otherwise.
type walk struct {
	// base is the method's version: rules that are not later do not count.
	base rpc.Version
	// limit is from which version on that is left out which may be dropped.
	limit rpc.Version
	// anys is how many google.protobuf.Any are around.
	anys int
}

// sum is what the values of a field need.
type sum struct {
	// version is what those need that are below the limit, floor what those need that may not be dropped.
	version, floor rpc.Version
	// some is that there are any below the limit, solid that there are any that may not be dropped.
	some, solid bool
}

// message returns what a message needs without what may be dropped and is not below the limit, and what without all that may be
// dropped. Versions that are not later than base mean nothing.
func (w walk) message(p *plan, m protoreflect.Message) (version, floor rpc.Version) {
	if m.Descriptor() != p.descriptor {
		if p = planOf(m.Descriptor()); p == nil {
			return version, floor
		}
	}
	if p.any {
		return w.any(m)
	}
	for i := range p.fields {
		f := &p.fields[i]
		if !m.Has(f.descriptor) {
			continue
		}
		v, l := w.field(f, m)
		version, floor = latest(v, version), latest(l, floor)
	}
	return version, floor
}

// field returns what a field that is set needs, as for message.
func (w walk) field(f *field, m protoreflect.Message) (version, floor rpc.Version) {
	s := w.values(f, m)
	if s.some {
		s.version = latest(s.version, f.since)
	}
	if s.solid {
		s.floor = latest(s.floor, f.since)
	}
	if !w.drops(f.rule) {
		return s.version, s.floor
	}
	if !later(w.limit, s.floor) { // it goes, for itself or for something in it that may not go alone
		return rpc.Version{}, rpc.Version{}
	}
	return s.version, rpc.Version{}
}

// drops reports whether something may be dropped: rules that are as old as the method concern no peer.
func (w walk) drops(r rule) bool { return r.drop && later(r.since, w.base) }

// values returns what the values of a field need.
func (w walk) values(f *field, m protoreflect.Message) sum {
	switch {
	case f.message == nil && f.values == nil:
		return sum{some: true, solid: true}
	case f.list:
		return w.list(f, m.Get(f.descriptor).List())
	case f.descriptor.IsMap():
		return w.entries(f, m.Get(f.descriptor).Map())
	default:
		var s sum
		w.add(&s, f, m.Get(f.descriptor))
		return s
	}
}

func (w walk) list(f *field, l protoreflect.List) sum {
	var s sum
	for i := range l.Len() {
		w.add(&s, f, l.Get(i))
	}
	return s
}

func (w walk) entries(f *field, all protoreflect.Map) sum {
	var s sum
	all.Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
		w.add(&s, f, v)
		return true
	})
	return s
}

// add counts one value of a field.
func (w walk) add(s *sum, f *field, value protoreflect.Value) {
	var version, floor rpc.Version
	if f.message != nil {
		version, floor = w.message(f.message, value.Message())
	} else {
		r := f.values[value.Enum()]
		if w.drops(r) && !f.pinned {
			// Without its last value the field is not set, so that the value goes if either is too new.
			if since := latest(r.since, f.since); later(w.limit, since) {
				s.some, s.version = true, latest(since, s.version)
			}
			return
		}
		version, floor = r.since, r.since
	}
	s.some, s.solid = true, true
	s.version, s.floor = latest(version, s.version), latest(floor, s.floor)
}

package typed

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// walk computes which version a message needs.
type walk struct {
	// base is the method's version. Rules that are not later do not count.
	base rpc.Version
	// limit is the version from which on droppable elements are left out.
	limit rpc.Version
	// anys is the current nesting of google.protobuf.Any.
	anys int
}

// sum is what the values of a field need.
type sum struct {
	// version is what the values below the limit need, and floor what the values need that must not
	// be dropped.
	version, floor rpc.Version
	// some is true if any value is below the limit, and solid if any value must not be dropped.
	some, solid bool
}

// message returns two versions: what a message needs without droppable elements at or above the
// limit, and what it needs without any droppable elements. Versions that are not later than base
// have no meaning.
func (w *walk) message(p *plan, m proto.Message) (version, floor rpc.Version) {
	v := viewOf(p, m)
	if !v.is(p) {
		if p = planOf(m.ProtoReflect().Descriptor()); p == nil {
			return version, floor
		}
		v = viewOf(p, m)
	}
	if p.any {
		return w.any(m.ProtoReflect())
	}
	for i := range p.fields {
		f := &p.fields[i]
		if !v.has(f) {
			continue
		}
		needed, solid := w.field(f, &v)
		version, floor = latest(needed, version), latest(solid, floor)
	}
	return version, floor
}

// field returns what a field needs that is set, in the way of message.
func (w *walk) field(f *field, v *view) (version, floor rpc.Version) {
	drops := w.drops(f.rule)
	if f.message == nil && f.values == nil { // quickly, what most are
		switch {
		case !drops:
			return f.since, f.since
		case later(w.limit, f.since):
			return f.since, floor
		default:
			return version, floor
		}
	}
	s := w.values(f, v)
	if s.some {
		s.version = latest(s.version, f.since)
	}
	if s.solid {
		s.floor = latest(s.floor, f.since)
	}
	if !drops {
		return s.version, s.floor
	}
	if !later(w.limit, s.floor) { // it goes, for itself or for something in it that may not go alone
		return rpc.Version{}, rpc.Version{}
	}
	return s.version, rpc.Version{}
}

// drops reports whether an element may be dropped. Rules that are not later than the method concern
// no peer.
func (w *walk) drops(r rule) bool { return r.drop && later(r.since, w.base) }

// values returns what the values of a field need.
func (w *walk) values(f *field, v *view) sum {
	switch {
	case f.list:
		return w.list(f, v.get(f).List())
	case f.descriptor.IsMap():
		return w.entries(f, v.get(f).Map())
	case f.message != nil:
		return w.withMessage(sum{}, f, v.nested(f))
	default:
		return w.withNumber(sum{}, f, v.number(f))
	}
}

func (w *walk) list(f *field, l protoreflect.List) (s sum) {
	for i := range l.Len() {
		s = w.with(s, f, l.Get(i))
	}
	return s
}

func (w *walk) entries(f *field, all protoreflect.Map) (s sum) {
	inner := *w // which moves to the heap; no other does
	all.Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
		s = inner.with(s, f, v)
		return true
	})
	return s
}

// with adds one value of a field to a sum.
func (w *walk) with(s sum, f *field, value protoreflect.Value) sum {
	if f.message != nil {
		return w.withMessage(s, f, value.Message().Interface())
	}
	return w.withNumber(s, f, value.Enum())
}

func (w *walk) withMessage(s sum, f *field, m proto.Message) sum {
	version, floor := w.message(f.message, m)
	return s.with(version, floor)
}

func (w *walk) withNumber(s sum, f *field, number protoreflect.EnumNumber) sum {
	r := f.values[number]
	if !w.drops(r) || f.pinned {
		return s.with(r.since, r.since)
	}
	// Without its last value the field would not be set, so the value is dropped if either is too
	// new.
	if since := latest(r.since, f.since); later(w.limit, since) {
		s.some, s.version = true, latest(since, s.version)
	}
	return s
}

// with adds a value that stays.
func (s sum) with(version, floor rpc.Version) sum {
	return sum{version: latest(version, s.version), floor: latest(floor, s.floor), some: true, solid: true}
}

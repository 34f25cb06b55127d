package typed

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Fit returns the message for a server that implements version. It returns the message itself if
// nothing need be dropped, or if dropping does not help because the version is below the message's
// Floor. Otherwise it returns a copy without newer elements. If an element may be dropped, but
// something in it is newer and must not be dropped, the whole element is dropped. Fit never changes
// the message itself.
func (m *Method) Fit(message proto.Message, version rpc.Version) proto.Message {
	n := m.Need(message)
	if !later(n.Version, version) || later(n.Floor, version) {
		return message
	}
	fitted := proto.Clone(message)
	fit{walk: walk{base: m.Since}, version: version}.message(m.look(fitted), fitted.ProtoReflect())
	return fitted
}

// fit drops elements that are later than a version, and returns which version the rest needs.
type fit struct {
	walk    // what may be dropped, and how deep it is
	version rpc.Version
}

func (t fit) message(p *plan, m protoreflect.Message) (need rpc.Version) {
	if m.Descriptor() != p.descriptor {
		if p = planOf(m.Descriptor()); p == nil {
			return need
		}
	}
	if p.any {
		return t.any(m)
	}
	for i := range p.fields {
		f := &p.fields[i]
		if m.Has(f.descriptor) {
			need = latest(t.field(f, m), need)
		}
	}
	return need
}

func (t fit) field(f *field, m protoreflect.Message) rpc.Version {
	drops := t.drops(f.rule)
	if drops && later(f.since, t.version) {
		m.Clear(f.descriptor)
		return rpc.Version{}
	}
	need := t.values(f, m)
	if !m.Has(f.descriptor) {
		return rpc.Version{}
	}
	if drops && later(need, t.version) {
		m.Clear(f.descriptor)
		return rpc.Version{}
	}
	return latest(need, f.since)
}

func (t fit) values(f *field, m protoreflect.Message) (need rpc.Version) {
	switch {
	case f.message == nil && f.values == nil:
		return need
	case f.list:
		return t.list(f, m)
	case f.descriptor.IsMap():
		return t.entries(f, m)
	case f.message != nil:
		return t.message(f.message, m.Mutable(f.descriptor).Message())
	default:
		need, gone := t.value(f, m.Get(f.descriptor).Enum())
		if gone {
			m.Clear(f.descriptor)
		}
		return need
	}
}

// value returns which version an enum value needs, or that it is dropped.
func (t fit) value(f *field, number protoreflect.EnumNumber) (need rpc.Version, gone bool) {
	r := f.values[number]
	if t.drops(r) && !f.pinned && later(latest(r.since, f.since), t.version) {
		return need, true
	}
	return r.since, false
}

func (t fit) list(f *field, m protoreflect.Message) (need rpc.Version) {
	all := m.Mutable(f.descriptor).List()
	left := 0
	for i := range all.Len() {
		element := all.Get(i)
		if f.message != nil {
			need = latest(t.message(f.message, element.Message()), need)
			left++
			continue
		}
		v, gone := t.value(f, element.Enum())
		if gone {
			continue
		}
		all.Set(left, element)
		need = latest(v, need)
		left++
	}
	all.Truncate(left)
	return need
}

func (t fit) entries(f *field, m protoreflect.Message) (need rpc.Version) {
	all := m.Mutable(f.descriptor).Map()
	all.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		if f.message != nil {
			need = latest(t.message(f.message, value.Message()), need)
			return true
		}
		v, gone := t.value(f, value.Enum())
		if gone {
			all.Clear(key) // as in a Go map, which allows it
		}
		need = latest(v, need)
		return true
	})
	return need
}

// any drops elements of the message in a google.protobuf.Any. If there is nothing to drop, the
// encoded message stays unchanged.
func (t fit) any(m protoreflect.Message) (need rpc.Version) {
	if t.anys++; t.anys > maxAnys {
		return need
	}
	p, inner := unpack(m)
	if p == nil {
		return need
	}
	t.limit = unlimited
	before, _ := t.walk.message(p, inner.Interface())
	if !later(before, t.version) {
		return before
	}
	need = t.message(p, inner)
	repack(m, inner)
	return need
}

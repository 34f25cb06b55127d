package typed

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Blame returns the element of a message that needs a later version than this and must not be
// dropped: the one that needs the latest version, and of several the first. Ok is false if there is
// no such element, which means that the message's Floor is not later.
func (m *Method) Blame(message proto.Message, version rpc.Version) (e Element, ok bool) {
	e.Since = m.Since
	if p := m.look(message); p != nil {
		e = (blame{walk{base: m.Since}}).message(p, message.ProtoReflect(), e)
	}
	if !later(e.Since, version) {
		return Element{}, false
	}
	return e, true
}

// blame finds the element that needs the latest version and must not be dropped. Its methods return
// most, or an element that needs a later version.
type blame struct{ walk }

func (b blame) message(p *plan, m protoreflect.Message, most Element) Element {
	if m.Descriptor() != p.descriptor {
		if p = planOf(m.Descriptor()); p == nil {
			return most
		}
	}
	if p.any {
		return b.any(m, most)
	}
	for i := range p.fields {
		f := &p.fields[i]
		if m.Has(f.descriptor) && !b.drops(f.rule) {
			most = b.field(f, m, most)
		}
	}
	return most
}

func (b blame) field(f *field, m protoreflect.Message, most Element) Element {
	name, value := string(f.descriptor.Name()), m.Get(f.descriptor)
	if f.values != nil && !b.values(f, &view{message: m.Interface()}).solid {
		return most // all values may go, and the field with them
	}
	if later(f.since, most.Since) {
		most = Element{Path: name, Since: f.since}
	}
	switch {
	case f.message == nil && f.values == nil:
		return most
	case f.list:
		for i := range value.List().Len() {
			most = b.value(f, value.List().Get(i), name+"["+strconv.Itoa(i)+"]", most)
		}
		return most
	case f.descriptor.IsMap():
		return b.entries(f, value.Map(), name, most)
	default:
		return b.value(f, value, name, most)
	}
}

// entries examines the values of a map. Of several equal ones it returns the first by path, since a
// map has no order.
func (b blame) entries(f *field, all protoreflect.Map, name string, most Element) Element {
	worst := most
	all.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		e := b.value(f, value, name+"["+quoteKey(key)+"]", most)
		if later(e.Since, worst.Since) || (e.Since == worst.Since && later(e.Since, most.Since) && e.Path < worst.Path) {
			worst = e
		}
		return true
	})
	return worst
}

// quoteKey formats a key in Go syntax.
func quoteKey(key protoreflect.MapKey) string {
	if s, ok := key.Interface().(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(key.Interface())
}

// value examines one value of a field. Path is the path of the field.
func (b blame) value(f *field, value protoreflect.Value, path string, most Element) Element {
	if f.message != nil {
		inner := b.message(f.message, value.Message(), Element{Since: most.Since})
		if !later(inner.Since, most.Since) {
			return most
		}
		inner.Path = path + "." + inner.Path
		return inner
	}
	number := value.Enum()
	r := f.values[number]
	if !later(r.since, most.Since) || (b.drops(r) && !f.pinned) {
		return most
	}
	return Element{Path: path + ": " + valueName(f, number), Since: r.since}
}

// valueName returns the name of an enum value with a rule.
func valueName(f *field, number protoreflect.EnumNumber) string {
	d := f.descriptor
	if d.IsMap() {
		d = d.MapValue()
	}
	return string(d.Enum().Values().ByNumber(number).Name())
}

func (b blame) any(m protoreflect.Message, most Element) Element {
	if b.anys++; b.anys > maxAnys {
		return most
	}
	p, inner := unpack(m)
	if p == nil {
		return most
	}
	e := b.message(p, inner, Element{Since: most.Since})
	if !later(e.Since, most.Since) {
		return most
	}
	e.Path = "(" + string(inner.Descriptor().FullName()) + ")." + e.Path
	return e
}

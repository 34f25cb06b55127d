package payload

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shape describes which members the objects in a value must and may have, according to the structs
// in the value's Go type. It is needed because the JSON library ignores unknown and missing
// members. Shapes are made once for each type, may refer to themselves, and are nil for types
// without structs.
type shape struct {
	// members are the members of a struct, in the order of its fields. ByName has the index of
	// each; it is nil for a list or a map, whose elements have the shape elem.
	members []memberShape
	byName  map[string]int
	// open is true if the struct accepts unknown members.
	open bool
	elem slot
	// nests is true if there is anything to check within the value.
	nests bool
}

// slot is the place of a value: an element, or the value of a member. Its shape is nil if there is
// nothing to check.
type slot struct {
	shape    *shape
	nullable bool
}

// memberShape is a member of an object.
type memberShape struct {
	slot

	name     string
	typ      reflect.Type
	optional bool
}

var shapes sync.Map // reflect.Type -> *shape

// shapeOf returns the shape of a type, or nil if its values need no check.
func shapeOf(t reflect.Type) *shape {
	if made, ok := shapes.Load(t); ok {
		return made.(*shape)
	}
	s := shaping{}.shape(t)
	shapes.Store(t, s)
	return s
}

// shaping makes shapes. It maps types to shapes that may be unfinished, for types that contain
// themselves.
type shaping map[reflect.Type]*shape

func (m shaping) slot(t reflect.Type) slot {
	return slot{shape: m.shape(t), nullable: nullable(t) || isOptional(t)}
}

func (m shaping) shape(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer || isOptional(t) {
		t = inner(t)
	}
	if made, ok := m[t]; ok {
		return made
	}
	switch {
	case ownJSON(t), t == timeType, t == bigType:
		return nil
	case t.Kind() == reflect.Struct:
		return m.object(t)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array, t.Kind() == reflect.Map:
		s := &shape{nests: true}
		m[t] = s
		if s.elem = m.slot(t.Elem()); s.elem.shape == nil {
			m[t] = nil
		}
		return m[t]
	default:
		return nil
	}
}

// inner returns the type that a pointer points to, or the type of an Opt's value.
func inner(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return reflect.TypeOf(reflect.New(t).Interface().(optional).target()).Elem()
}

func (m shaping) object(t reflect.Type) *shape {
	s := &shape{byName: map[string]int{}}
	m[t] = s
	for _, f := range fieldsOf(t) {
		if f.rest {
			s.open = true
			continue
		}
		of := memberShape{slot: m.slot(f.typ), name: f.name, typ: f.typ, optional: f.optional}
		if isOptional(f.typ) {
			of.optional, of.typ = true, inner(f.typ)
		}
		of.nullable = of.nullable || of.optional
		s.byName[f.name] = len(s.members)
		s.members = append(s.members, of)
		s.nests = s.nests || of.shape != nil
	}
	return s
}

// field is a field of a struct, or of an embedded struct, in the view of the JSON library.
type field struct {
	name     string
	named    bool // by its tag
	depth    int
	typ      reflect.Type
	optional bool // the library may leave it out
	rest     bool // it receives members without a field, or the library matches its name in other ways than exactly
}

// fieldsOf returns the fields of a struct in order. If several have the same name, the one with the
// least depth counts, and among those the one whose tag gives the name.
func fieldsOf(t reflect.Type) []field {
	all := appendFields(nil, t, field{}, map[reflect.Type]bool{})
	var list []field
	for i, f := range all {
		hidden := slices.ContainsFunc(all[:i], func(g field) bool { return g.name == f.name && !f.rest && !precedes(f, g) }) ||
			slices.ContainsFunc(all[i+1:], func(g field) bool { return g.name == f.name && !f.rest && precedes(g, f) })
		if !hidden {
			list = append(list, f)
		}
	}
	return list
}

func precedes(f, g field) bool {
	return cmp.Or(cmp.Compare(f.depth, g.depth), cmp.Compare(boolInt(!f.named), boolInt(!g.named))) < 0
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// appendFields appends the fields of t. In is the field by which t is embedded, and above has the
// types around t.
func appendFields(list []field, t reflect.Type, in field, above map[reflect.Type]bool) []field {
	if above[t] {
		return list
	}
	above[t] = true
	defer delete(above, t)
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		has := func(option string) bool { return slices.Contains(strings.Split(options, ","), option) }
		of := field{
			name: cmp.Or(name, f.Name), named: name != "", depth: in.depth, typ: f.Type,
			optional: in.optional || has("omitzero") || has("omitempty"),
			rest:     has("case:ignore") || strings.ContainsAny(tag, "\\'\"`"), // which quote names
		}
		switch embedded := has("embed") || f.Anonymous && name == ""; {
		case tag == "-", !f.IsExported() && !embedded:
		case !embedded:
			list = append(list, of)
		case indirect(f.Type).Kind() == reflect.Struct:
			of.depth++
			of.optional = in.optional || f.Type.Kind() == reflect.Pointer
			list = appendFields(list, indirect(f.Type), of, above)
		default:
			of.rest = true
			list = append(list, of)
		}
	}
	return list
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

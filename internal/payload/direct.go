package payload

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Most values consist of structs, slices and pointers with strings, numbers and booleans, and most
// texts are valid. The code in the files direct*.go encodes and decodes these in one pass, without
// tokens, several times as fast as the JSON library. All other cases are left to the library and
// the checks around it, which implement every rule and every error: a type with a special rule is
// excluded in advance, and an unusual value or text makes the direct code give up. So the direct
// code must succeed only with the result that the library would produce.

// direct is the plan for writing and parsing values of a type directly.
type direct struct {
	kind    reflect.Kind
	members []directMember // of a struct
	byName  map[string]int
	elem    *direct // of a pointer or a slice
	// usual is how many elements the last parsed slice had, at most maxUsual. The next slice gets
	// memory for as many.
	usual atomic.Int32
}

// directMember is a field of a struct.
type directMember struct {
	name  string
	quote string // the name as it is written, with its colon
	index int
	of    *direct
}

// maxDirect bounds the members of a struct, because a bitmap has one bit for each.
const maxDirect = 64

var directs sync.Map // reflect.Type -> *direct, nil for a type that is left to the library

// directOf returns the plan for values of a type, or nil if the library must handle the type.
func directOf(t reflect.Type) *direct {
	if made, ok := directs.Load(t); ok {
		return made.(*direct)
	}
	d := directing{}.direct(t)
	directs.Store(t, d)
	return d
}

// directing has the types above the current one, to detect recursion.
type directing map[reflect.Type]bool

func (above directing) direct(t reflect.Type) *direct {
	if above[t] || hasRules(t) {
		return nil
	}
	above[t] = true
	defer delete(above, t)
	switch d := (&direct{kind: t.Kind()}); {
	case slices.Contains(single, t.Kind()):
		return d
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8, // the library writes bytes in base64
		t.Kind() == reflect.Pointer && t.Elem().Kind() != reflect.Pointer:
		if d.elem = above.direct(t.Elem()); d.elem == nil {
			return nil
		}
		return d
	case t.Kind() == reflect.Struct:
		return above.object(d, t)
	default:
		return nil
	}
}

// single are the kinds of values that contain no other values.
var single = []reflect.Kind{
	reflect.String, reflect.Bool, reflect.Float64,
	reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
	reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
}

// hasRules reports whether a type has special rules, in this package or in the library.
func hasRules(t reflect.Type) bool {
	return ownJSON(t) || isOptional(t) || t == rawType || t == durationType || t == timeType || t == bigType || t.Name() == "Number"
}

func (above directing) object(d *direct, t reflect.Type) *direct {
	d.byName = map[string]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() && !f.Anonymous && tag == "" {
			continue
		}
		name := tag
		if name == "" {
			name = f.Name
		}
		of := above.direct(f.Type)
		if _, twice := d.byName[name]; twice || of == nil || f.Anonymous || !f.IsExported() || !isDirectName(name) {
			return nil
		}
		d.byName[name] = len(d.members)
		d.members = append(d.members, directMember{name: name, quote: `"` + name + `":`, index: i, of: of})
	}
	if len(d.members) == 0 || len(d.members) > maxDirect {
		return nil
	}
	return d
}

// isDirectName reports whether a tag is only a name, without options.
func isDirectName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	})
}

package payload

import (
	"encoding"
	"math/big"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"
)

// Argument describes a keyword argument.
type Argument struct {
	Name string
	// Type is the JSON type in words: string, integer, number, boolean, object, any, or "array of" one of these.
	Type     string
	Optional bool
}

// Describe returns the keyword arguments that the type t takes, and whether it takes others as well. An error means that
// t cannot hold arguments.
func Describe(t reflect.Type) (args []Argument, extra bool, err error) {
	if t.Kind() != reflect.Struct {
		return nil, true, nil
	}
	p, err := planOf(t)
	if err != nil {
		return nil, false, err
	}
	for _, a := range p.args {
		args = append(args, Argument{Name: a.name, Type: typeWord(a.typ), Optional: a.optional})
	}
	return args, p.extra != nil, nil
}

// TypeWord returns the JSON type of t in words, as in [Argument].
func TypeWord(t reflect.Type) string { return typeWord(t) }

func typeWord(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeWord(t.Elem())
	case t == reflect.TypeFor[big.Int]() || t == reflect.TypeFor[time.Duration]():
		return "integer"
	case t == rawType || implements[json.Marshaler](t) && t != reflect.TypeFor[time.Time]():
		return "any"
	case implements[encoding.TextMarshaler](t):
		return "string"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string"
		}
		return "array of " + typeWord(t.Elem())
	case reflect.Map, reflect.Struct:
		return "object"
	default:
		return "any"
	}
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

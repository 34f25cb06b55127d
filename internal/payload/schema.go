package payload

import (
	"encoding"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxWords bounds how deep a type is described, since a type may contain itself.
const maxWords = 4

// Argument describes a keyword argument.
type Argument struct {
	Name string
	// Type is the JSON type in words: string, integer, number, boolean, object, any, or "array of" and one of these.
	Type     string
	Optional bool
}

// Describe returns the keyword arguments that the type t takes, and whether it takes others as well. An error, of kind
// Invalid, means that t cannot hold arguments.
func Describe(t reflect.Type) (args []Argument, extra bool, err error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct:
	case t == rawType, t.Kind() == reflect.Interface, t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		return nil, true, nil
	default:
		return nil, false, &rpc.Error{Kind: rpc.Invalid, Message: fmt.Sprintf(
			"%v cannot hold arguments: use a struct, a map with string keys or Raw", t)}
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

func typeWord(t reflect.Type) string { return typeWords(t, maxWords) }

func typeWords(t reflect.Type, depth int) string {
	switch {
	case depth == 0:
		return "any"
	case t.Kind() == reflect.Pointer:
		return typeWords(t.Elem(), depth-1)
	case t == bigType || t == durationType:
		return "integer"
	case t == timeType:
		return "string"
	case implements[json.Marshaler](t) || implements[json.MarshalerTo](t):
		return "any"
	case implements[encoding.TextMarshaler](t) || implements[encoding.TextAppender](t):
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
		if t.Elem() == reflect.TypeFor[byte]() {
			return "string"
		}
		return "array of " + typeWords(t.Elem(), depth-1)
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

package payload

import (
	"encoding"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxWords bounds the depth of a type's description, since a type may contain itself.
const maxWords = 4

// These are the words for JSON types in descriptions and errors.
const (
	wordNull    = "null"
	wordBoolean = "boolean"
	wordString  = "string"
	wordInteger = "integer"
	wordNumber  = "number"
	wordObject  = "object"
	wordArray   = "array"
	wordAny     = "any"
)

// Argument describes a keyword argument.
type Argument struct {
	Name string
	// Type is the JSON type in words: "string", "integer", "number", "boolean", "object", "any", or
	// "array of" and one of these types.
	Type     string
	Optional bool
}

// Describe returns the keyword arguments that the type t accepts. Extra is true if t also accepts
// arguments with other names. An error, of kind Invalid, means that t cannot hold arguments.
func Describe(t reflect.Type) (args []Argument, extra bool, err error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct:
	case t == rawType, t.Kind() == reflect.Interface:
		return nil, true, nil
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		if err := (able{}).check(t, ""); err != nil {
			return nil, false, &rpc.Error{Kind: rpc.Invalid, Message: fmt.Sprintf("%v cannot hold arguments: it %v", t, err)}
		}
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
	word, special := wordOfType(t)
	switch {
	case depth == 0:
		return wordAny
	case t.Kind() == reflect.Pointer:
		return typeWords(t.Elem(), depth-1)
	case special:
		return word
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		return wordArray + " of " + typeWords(t.Elem(), depth-1)
	default:
		return wordOfKind(t.Kind())
	}
}

// wordOfType returns the word for a type whose JSON type does not follow from its kind.
func wordOfType(t reflect.Type) (word string, special bool) {
	switch {
	case t == bigType || t == durationType:
		return wordInteger, true
	case t == timeType:
		return wordString, true
	case implements[json.Marshaler](t) || implements[json.MarshalerTo](t):
		return wordAny, true
	case implements[encoding.TextMarshaler](t) || implements[encoding.TextAppender](t):
		return wordString, true
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		return wordString, t.Elem() == reflect.TypeFor[byte]()
	default:
		return "", false
	}
}

func wordOfKind(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return wordBoolean
	case reflect.String:
		return wordString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return wordInteger
	case reflect.Float32, reflect.Float64:
		return wordNumber
	case reflect.Map, reflect.Struct:
		return wordObject
	default:
		return wordAny
	}
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

package payload

import (
	"errors"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Opt is a keyword argument that may be absent. Its zero value is absent, which is not the zero
// value of T.
//
// Null counts as absent, since Python programs pass None for arguments that they do not set. If T
// itself can be null, because it is a pointer, a slice, a map or an interface, null counts as
// present. An absent argument is not sent. In a nested struct, tag the field `omitzero`; without
// the tag, an absent Opt is written as null.
type Opt[T any] struct {
	value T
	set   bool
}

// Some returns an Opt that is present.
func Some[T any](v T) Opt[T] { return Opt[T]{value: v, set: true} }

// Get returns the value, and whether it is present.
func (o Opt[T]) Get() (T, bool) { return o.value, o.set }

// Or returns the value if it is present, and def otherwise.
func (o Opt[T]) Or(def T) T {
	if o.set {
		return o.value
	}
	return def
}

// IsZero reports whether the value is absent. The tag `omitzero` uses it.
func (o Opt[T]) IsZero() bool { return !o.set }

// MarshalJSONTo writes the value, or null if it is absent.
func (o Opt[T]) MarshalJSONTo(enc *jsontext.Encoder) error {
	if !o.set {
		return enc.WriteToken(jsontext.Null)
	}
	return json.MarshalEncode(enc, &o.value)
}

// UnmarshalJSONFrom sets the value to present. For a null that T cannot represent, it sets the
// value to absent.
func (o *Opt[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' && !nullable(reflect.TypeFor[T]()) {
		*o = Opt[T]{}
		return dec.SkipValue()
	}
	if err := json.UnmarshalDecode(dec, &o.value); err != nil {
		return err
	}
	o.set = true
	return nil
}

// MarshalJSON is MarshalJSONTo for encoding/json.
func (o Opt[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o, marshalOptions) }

// UnmarshalJSON is UnmarshalJSONFrom for encoding/json.
func (o *Opt[T]) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, o, unmarshalOptions) }

// optional is the interface of an Opt for plans.
type optional interface {
	present() bool
	// target marks the Opt as present and returns a pointer to its value.
	target() any
}

func (o *Opt[T]) present() bool { return o.set }

func (o *Opt[T]) target() any {
	o.set = true
	return &o.value
}

// Extra is for embedding in a struct of keyword arguments. It takes the arguments that the struct
// has no field for. In a struct within arguments or results, it takes the members without a field,
// and the other fields of that struct follow the rules of arguments.
//
// Numbers in it are int64 if they are written as integers and fit, *big.Int if they do not fit, and
// float64 otherwise. Objects are map[string]any and arrays []any.
type Extra map[string]any

// catches is promoted to structs that embed an Extra, so that the JSON library calls writeCatcher
// and readCatcher for them.
func (Extra) catches() {}

type catcher interface{ catches() }

// writeCatcher writes a struct that embeds an Extra, which the library refuses.
func writeCatcher(enc *jsontext.Encoder, c catcher) error {
	v := reflect.ValueOf(c).Elem()
	if v.Kind() != reflect.Struct {
		return errors.ErrUnsupported // it is an Extra itself: the library encodes it as a map
	}
	p, err := planOf(v.Type())
	if err != nil {
		return err
	}
	return planned{p, v}.MarshalJSONTo(enc)
}

func readCatcher(dec *jsontext.Decoder, c catcher) error {
	v := reflect.ValueOf(c).Elem()
	if v.Kind() != reflect.Struct || dec.PeekKind() != '{' { // the library handles null, and makes the errors for other values
		return errors.ErrUnsupported
	}
	p, err := planOf(v.Type())
	if err != nil {
		return err
	}
	return (&planned{p, v}).UnmarshalJSONFrom(dec)
}

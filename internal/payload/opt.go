package payload

import (
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Opt is a keyword argument that may be absent. Its zero value is absent; absent is not null, and not the zero value of T.
//
// In a nested struct, tag the field `omitzero`, or an absent Opt is written as null.
type Opt[T any] struct {
	value T
	set   bool
}

// Some returns an Opt that is present.
func Some[T any](v T) Opt[T] { return Opt[T]{value: v, set: true} }

// Get returns the value, and whether it is present.
func (o Opt[T]) Get() (T, bool) { return o.value, o.set }

// Or returns the value if it is present, else the default.
func (o Opt[T]) Or(def T) T {
	if o.set {
		return o.value
	}
	return def
}

// IsZero reports whether the value is absent. (The tag `omitzero` asks for it.)
func (o Opt[T]) IsZero() bool { return !o.set }

// MarshalJSON returns the value, null if it is absent.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	s, err := Marshal(o.value, rpc.BadArguments)
	return []byte(s), err
}

// UnmarshalJSON makes the value present.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	o.set = true
	return Unmarshal(string(b), &o.value, rpc.BadArguments)
}

// optional is what the plan of a struct needs to know of an Opt.
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

// Extra takes the keyword arguments that a struct does not name, when it is embedded in the struct.
//
// Numbers in it are int64 if they are written as integers and fit, *big.Int if they do not fit, and float64 otherwise; objects
// are map[string]any and arrays []any.
type Extra map[string]any

// Package payload converts Go values to the payloads of messages and back: keyword arguments,
// request contexts, results.
//
// The payloads are JSON as the protocol requires: integers of any size, floats that stay floats,
// names matched exactly, no duplicate names. Errors have the kind that the caller passes,
// BadArguments or BadResult, and name the place as a JSON pointer. A struct type that cannot hold
// arguments is an error of kind Invalid.
package payload

import (
	"reflect"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Raw is JSON text that is sent or received unchanged. It must be valid JSON. Only the peer that
// parses it checks that.
type Raw string

// MarshalJSON returns the text.
func (r Raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// UnmarshalJSON sets the text.
func (r *Raw) UnmarshalJSON(b []byte) error {
	*r = Raw(b)
	return nil
}

var marshalOptions = json.JoinOptions(
	json.Deterministic(true),
	json.WithMarshalers(json.JoinMarshalers(
		json.MarshalToFunc(func(enc *jsontext.Encoder, f float64) error { return writeFloat(enc, f, 64) }),
		json.MarshalToFunc(func(enc *jsontext.Encoder, f float32) error { return writeFloat(enc, float64(f), 32) }),
		json.MarshalToFunc(writeMap),
		json.MarshalToFunc(writeSlice),
		json.MarshalToFunc(writeCatcher),
	)),
	jsonv1.FormatDurationAsNano(true),
)

var unmarshalOptions = json.JoinOptions(
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(readUntyped),
		json.UnmarshalFromFunc(readBig),
		json.UnmarshalFromFunc(readCatcher),
	)),
	jsonv1.FormatDurationAsNano(true),
)

// Marshal returns v as JSON text. An error has the given kind and names the place.
func Marshal(v any, kind rpc.Kind) (string, error) { return MarshalWeighed(v, Weigh(v), kind) }

// MarshalWeighed is Marshal for a value whose weight is known from [Weigh].
func MarshalWeighed(v any, weight int, kind rpc.Kind) (string, error) {
	if raw, ok := v.(Raw); ok {
		return string(raw), nil
	}
	if weight > 0 {
		defer takeTurn()()
	} else if of := reflect.ValueOf(v); of.IsValid() {
		if text, ok := writeDirect(of); ok {
			return text, nil
		}
	}
	b, err := json.Marshal(v, marshalOptions)
	if err != nil {
		return "", describe(err, kind, unwritable)
	}
	return text(b), nil
}

// Unmarshal parses JSON text into the value that dst points to. An error has the given kind and
// names the place.
func Unmarshal(s string, dst any, kind rpc.Kind) error {
	if raw, ok := dst.(*Raw); ok {
		*raw = Raw(s)
		return nil
	}
	if v := reflect.ValueOf(dst); v.Kind() == reflect.Pointer && !v.IsNil() && readDirect(s, v.Elem()) {
		return nil
	}
	if err := json.Unmarshal([]byte(s), dst, unmarshalOptions); err != nil {
		return describe(err, kind, unreadable)
	}
	return nil
}

// text returns b as a string without copying. The caller must not change b afterwards.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above

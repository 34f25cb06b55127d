// Package payload turns Go values into the payloads of messages and back: keyword arguments, request contexts, results.
//
// Text is JSON as the contract asks for it: integers of any size, floats that stay floats, names matched exactly, duplicate
// names refused. Errors are of kind BadArguments or BadResult and name their place as a JSON pointer.
package payload

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Raw is JSON text that is sent or delivered as it is, without being parsed. It must be valid JSON; nothing checks it on the
// way but the reader at the other end.
type Raw string

// MarshalJSON returns the text.
func (r Raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// UnmarshalJSON takes the text.
func (r *Raw) UnmarshalJSON(b []byte) error {
	*r = Raw(b)
	return nil
}

var marshalOptions = json.JoinOptions(
	json.Deterministic(true),
	json.WithMarshalers(json.JoinMarshalers(
		json.MarshalToFunc(func(enc *jsontext.Encoder, f float64) error { return writeFloat(enc, f, 64) }),
		json.MarshalToFunc(func(enc *jsontext.Encoder, f float32) error { return writeFloat(enc, float64(f), 32) }),
	)),
	jsonv1.FormatDurationAsNano(true),
)

var unmarshalOptions = json.JoinOptions(
	json.WithUnmarshalers(json.UnmarshalFromFunc(readUntyped)),
	jsonv1.FormatDurationAsNano(true),
)

// Marshal returns v as JSON text. The error is of kind, and names the place.
func Marshal(v any, kind rpc.Kind) (string, error) {
	if raw, ok := v.(Raw); ok {
		return string(raw), nil
	}
	b, err := json.Marshal(v, marshalOptions)
	if err != nil {
		return "", describe(err, kind)
	}
	return text(b), nil
}

// Unmarshal reads JSON text into what dst points to. The error is of kind, and names the place.
func Unmarshal(s string, dst any, kind rpc.Kind) error {
	if raw, ok := dst.(*Raw); ok {
		*raw = Raw(s)
		return nil
	}
	if err := json.Unmarshal([]byte(s), dst, unmarshalOptions); err != nil {
		return describe(err, kind)
	}
	return nil
}

// text returns b as a string without copying it; b must not change any more.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// describe turns an error of the JSON library into one of ours.
func describe(err error, kind rpc.Kind) error {
	var ours *rpc.Error
	if errors.As(err, &ours) {
		return ours
	}
	e := &rpc.Error{Kind: kind, Message: err.Error(), Cause: err}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		e.Path = string(semantic.JSONPointer)
		e.Message = explain(semantic)
	case errors.As(err, &syntactic):
		e.Path = string(syntactic.JSONPointer)
		e.Message = "malformed JSON: " + syntactic.Err.Error()
	}
	if e.Path != "" {
		e.Message = "at " + e.Path + ": " + e.Message
	}
	return e
}

// explain says what was wanted and what was there.
func explain(err *json.SemanticError) string {
	wanted := "a value"
	if err.GoType != nil {
		wanted = typeWord(err.GoType)
	}
	switch {
	case err.JSONKind == 0 || err.JSONKind == jsontext.KindInvalid:
		return fmt.Sprintf("a Go value of type %v cannot be JSON%s", err.GoType, because(err.Err))
	case len(err.JSONValue) > 0 && len(err.JSONValue) <= 64:
		return fmt.Sprintf("wanted %s, got %s %s%s", wanted, kindWord(err.JSONKind), err.JSONValue, because(err.Err))
	default:
		return fmt.Sprintf("wanted %s, got %s%s", wanted, kindWord(err.JSONKind), because(err.Err))
	}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func kindWord(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "boolean"
	case '"':
		return "string"
	case '0':
		return "number"
	case '{':
		return "object"
	case '[':
		return "array"
	default:
		return "something malformed"
	}
}

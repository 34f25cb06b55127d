package payload

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// CheckResult returns an error of kind Invalid if values of a type cannot be encoded as JSON, for
// example a function or a struct with a channel.
func CheckResult(t reflect.Type) error {
	if err := (able{}).check(t, ""); err != nil {
		return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "the result " + err.Error()}
	}
	return nil
}

// able has the types that were checked already, since types may contain themselves.
type able map[reflect.Type]bool

// check returns an error if values of a type cannot be encoded as JSON. Place is where the type was
// found within the outermost type, such as ".Field[]".
func (a able) check(t reflect.Type, place string) error {
	if a[t] {
		return nil
	}
	a[t] = true
	switch {
	case t.Kind() == reflect.Pointer, isOptional(t):
		return a.check(inner(t), place)
	case ownJSON(t):
		return nil
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Invalid:
		return unable(t, place, "")
	case reflect.Slice, reflect.Array:
		return a.check(t.Elem(), place+"[]")
	case reflect.Map:
		if !isKey(t.Key()) {
			return unable(t, place, ": its keys are neither strings nor integers, and have no text of their own")
		}
		return a.check(t.Elem(), place+"[]")
	case reflect.Struct:
		return a.checkStruct(t, place)
	default:
		return nil
	}
}

func (a able) checkStruct(t reflect.Type, place string) error {
	if reflect.PointerTo(t).Implements(catcherType) {
		_, err := planOf(t)
		return err
	}
	for _, f := range fieldsOf(t) {
		if err := a.check(f.typ, place+"."+f.name); err != nil {
			return err
		}
	}
	err := json.Unmarshal([]byte("{}"), reflect.New(t).Interface())
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return unable(t, place, because(semantic.Err))
	}
	return nil
}

func unable(t reflect.Type, place, why string) error {
	if place != "" {
		place = "has " + place + ", which "
	}
	return fmt.Errorf("%sis of type %s, which cannot be JSON%s", place, shorten(t.String()), why)
}

// isKey reports whether the names of a JSON object can become the keys of a map.
func isKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return ownJSON(t)
}

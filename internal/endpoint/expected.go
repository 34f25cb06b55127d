package endpoint

import (
	"errors"
	"reflect"
)

// ErrorType stands for all errors of a type, as an argument of [Method.Expect].
func ErrorType[E error]() error { return anyError[E]{} }

type anyError[E error] struct{}

// Error describes the type.
func (anyError[E]) Error() string { return "any " + reflect.TypeFor[E]().String() }

func (anyError[E]) accepts(err error) bool {
	_, is := errors.AsType[E](err)
	return is
}

// matcher returns a function that reports whether an error is an expected one.
func matcher(target error) func(error) bool {
	if t, ok := target.(interface{ accepts(err error) bool }); ok {
		return t.accepts
	}
	return func(err error) bool { return errors.Is(err, target) }
}

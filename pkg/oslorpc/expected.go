package oslorpc

import (
	"errors"
	"reflect"
	"slices"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// Expected returns the method with errors that it returns in the ordinary course of things, such as "no such port". The
// server logs them at debug level, where it logs other errors of methods at error level; callers see no difference. An error
// is expected if errors.Is finds one of errs in it; to expect all errors of a type, give [ErrorType]. A panic is never expected.
//
// Expected may be applied again, to add errors, and combined with [Expose] in any order. To mark methods of a struct, use
// [ExpectErrors]. Without errs, or with a nil error in them, the server's start returns an error of kind [Invalid].
func Expected(m Method, errs ...error) Method {
	if len(errs) == 0 || slices.Contains(errs, nil) {
		return Method{err: invalidUse("Expected was given no error, or nil: name the errors that are expected")}
	}
	expected := make([]func(error) bool, len(errs))
	for i, target := range errs {
		expected[i] = matcher(target)
	}
	return m.with(func(impl *dispatch.Method) { impl.Expected = slices.Concat(impl.Expected, expected) })
}

// ExpectErrors marks a Go method as [Expected] does.
func ExpectErrors(method string, errs ...error) MethodsOption {
	return methodsOption(func(c *methodsConfig) {
		c.mark(method, func(m Method) Method { return Expected(m, errs...) })
	})
}

// ErrorType stands for all errors of a type in the list of [Expected]: those in which errors.As finds an E.
func ErrorType[E error]() error { return anyError[E]{} }

type anyError[E error] struct{}

// Error says what it stands for.
func (anyError[E]) Error() string { return "any " + reflect.TypeFor[E]().String() }

func (anyError[E]) accepts(err error) bool {
	_, is := errors.AsType[E](err)
	return is
}

// matcher returns what tells whether an error is an expected one.
func matcher(target error) func(error) bool {
	if t, ok := target.(interface{ accepts(err error) bool }); ok {
		return t.accepts
	}
	return func(err error) bool { return errors.Is(err, target) }
}

package oslorpc

import (
	"reflect"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// WithErrorType registers the errors of a Go type under a name, at the programs whose methods fail
// with them and at the programs that tell them apart. errors.As then finds an E in the error of a
// call, beside the [RemoteError], whose Type is the name, however many servers it came through. E
// is the type that errors.As is asked for, mostly a pointer to a struct.
//
// The exported fields travel as JSON, under their JSON names. Give a field that must not travel the
// tag `json:"-"`. An error that arrives without its fields (they did not fit into 3 KiB, or the
// sender does not know the type), or with fields that E cannot take, is a [RemoteError] alone, and
// the latter is logged.
//
// Of an error that wraps others, the outermost with a registered type counts. A name that is used
// twice, or begins with "oslorpc.", is an error of [Open], and so is an E that cannot be JSON.
func WithErrorType[E error](name string) TransportOption {
	return transportOption(func(c *config) { c.errors.AddType(name, reflect.TypeFor[E]()) })
}

// WithErrorValue registers one error, such as the result of errors.New, under a name, as
// [WithErrorType] does for the errors of a type. errors.Is then finds it in the error of a call
// whose method failed with it, or with an error that wraps it.
func WithErrorValue(name string, value error) TransportOption {
	return transportOption(func(c *config) { c.errors.AddValue(name, value) })
}

// describe returns the function that names the errors of methods; nil if no errors are registered.
func (c *config) describe() dispatch.DescribeFunc {
	if c.errors.IsEmpty() {
		return nil
	}
	return c.errors.Describe
}

package oslorpc

import (
	"reflect"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// WithErrorType registers the errors of a Go type under a name. Register the type in the programs
// whose methods fail with it and in the programs that handle it. errors.As then finds an E in the
// error of a call, next to the [RemoteError], whose Type is the name. This works through any number
// of servers. E is the type that is passed to errors.As, usually a pointer to a struct.
//
// The exported fields travel as JSON, under their JSON names. Give a field that must not travel the
// tag `json:"-"`. In two cases the caller gets a [RemoteError] alone: the error arrives without its
// fields, because they exceed 3 KiB or the sender does not know the type; or the fields cannot be
// decoded into E, which is also logged.
//
// If an error wraps others, the outermost error of a registered type determines the name. [Open]
// returns an error if a name is used twice or begins with "oslorpc.", or if E cannot be encoded as
// JSON.
func WithErrorType[E error](name string) TransportOption {
	return transportOption(func(c *config) { c.errors.AddType(name, reflect.TypeFor[E]()) })
}

// WithErrorValue registers one error, such as a result of errors.New, under a name. If a method
// fails with this error, or with an error that wraps it, errors.Is finds it in the error of the
// call. See also [WithErrorType].
func WithErrorValue(name string, value error) TransportOption {
	return transportOption(func(c *config) { c.errors.AddValue(name, value) })
}

// describe returns the function that names the errors of methods, or nil if none are registered.
func (c *config) describe() dispatch.DescribeFunc {
	if c.errors.IsEmpty() {
		return nil
	}
	return c.errors.Describe
}

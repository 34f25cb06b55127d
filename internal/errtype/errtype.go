// Package errtype registers names for the Go errors of a program, so that they arrive at callers as
// the same Go errors.
package errtype

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Registry has the registered errors of a program. It must not be changed once it is in use.
type Registry struct {
	// Log gets errors that cannot be encoded or rebuilt.
	Log *slog.Logger

	list []registered // in the order of their registration
}

// registered is the registration of one name.
type registered struct {
	name string
	err  error // what is wrong with the registration
	// is reports whether an error has the type. It does not look at wrapped errors.
	is func(error) bool
	// data returns the fields of an error as JSON text.
	data func(error) (string, error)
	// rebuild makes the Go error from a remote error.
	rebuild func(*rpc.RemoteError) (error, error)
}

// AddType registers a name for the errors of a type.
func (r *Registry) AddType(name string, t reflect.Type) { r.list = append(r.list, newType(name, t)) }

// AddValue registers a name for one error value.
func (r *Registry) AddValue(name string, value error) { r.list = append(r.list, newValue(name, value)) }

func newType(name string, t reflect.Type) registered {
	base := t
	if t.Kind() == reflect.Pointer {
		base = t.Elem()
	}
	known := registered{
		name: name,
		is:   func(err error) bool { return baseOf(err) == base },
		data: func(err error) (string, error) { return payload.Marshal(err, rpc.BadResult) },
		rebuild: func(remote *rpc.RemoteError) (error, error) {
			if remote.Data == "" {
				return nil, nil
			}
			made := reflect.New(base)
			if err := payload.Unmarshal(remote.Data, made.Interface(), rpc.BadResult); err != nil {
				return nil, err
			}
			if base == t {
				made = made.Elem()
			}
			return made.Interface().(error), nil
		},
	}
	switch {
	case isOurs(reflect.Zero(t).Interface()), base.Kind() == reflect.Interface, base.Kind() == reflect.Pointer:
		known.err = failure.Invalid("%v cannot be registered as the error type %q: give a type of your own that is not an interface", t, name)
	default:
		if _, err := guard(known.data, reflect.New(base).Interface().(error)); err != nil {
			known.err = failure.Invalid("%v cannot be registered as the error type %q: its fields cannot be encoded as JSON: %v", t, name, err)
		}
	}
	return known
}

// baseOf returns the type of an error without a pointer, since methods may return either.
func baseOf(err error) reflect.Type {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func newValue(name string, value error) registered {
	known := registered{
		name: name,
		is: func(err error) bool {
			if err == value { //nolint:errorlint // The caller unwraps.
				return true
			}
			alike, ok := err.(interface{ Is(target error) bool })
			return ok && alike.Is(value)
		},
		data:    func(error) (string, error) { return "", nil },
		rebuild: func(*rpc.RemoteError) (error, error) { return value, nil },
	}
	if value == nil || isOurs(value) || !reflect.ValueOf(value).Comparable() {
		known.err = failure.Invalid("%T cannot be registered as the error %q: give a value of your own that can be compared", value, name)
	}
	return known
}

// isOurs reports whether an error is one of the library's. Such an error describes the outcome of a
// message, and must not be used for another message.
func isOurs(err any) bool {
	switch err.(type) {
	case *rpc.Error, *rpc.RemoteError, rpc.Kind:
		return true
	default:
		return false
	}
}

// IsEmpty reports whether nothing is registered.
func (r *Registry) IsEmpty() bool { return len(r.list) == 0 }

// Check returns an error if a registration is invalid.
func (r *Registry) Check() error {
	names := map[string]bool{"": true, "panic": true, "error": true}
	for _, known := range r.list {
		switch {
		case known.err != nil:
			return known.err
		case names[known.name] || strings.HasPrefix(known.name, "oslorpc."):
			return failure.Invalid("error type %q is registered twice, or the name is reserved: choose another, such as package.Type", known.name)
		}
		names[known.name] = true
	}
	return nil
}

// Describe returns the name of the registered type of an error, and its fields as JSON text. The
// name is empty if the type is not registered.
func (r *Registry) Describe(err error) (name, data string) {
	known, err := r.find(err)
	if known == nil {
		return "", ""
	}
	if data, err = guard(known.data, err); err != nil {
		r.Log.Warn("the fields of an error cannot be sent", "type", known.name, "error", err)
	}
	return known.name, data
}

// find returns the outermost error in a chain that has a registered type, and that type. Errors
// from other servers have a name already, so it stops at these.
func (r *Registry) find(err error) (*registered, error) {
	if err == nil || isOurs(err) {
		return nil, nil
	}
	for i := range r.list {
		if r.list[i].is(err) {
			return &r.list[i], err
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // This unwraps.
	case interface{ Unwrap() error }:
		return r.find(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			if known, err := r.find(err); known != nil {
				return known, err
			}
		}
	}
	return nil, nil
}

// Rebuild adds the registered Go error to the error of a method. If the Go error cannot be rebuilt,
// err stays the same: the server's failure matters more than a problem in reading it.
func (r *Registry) Rebuild(err error) error {
	if err == nil || len(r.list) == 0 {
		return err
	}
	remote, ok := errors.AsType[*rpc.RemoteError](err)
	if !ok {
		return err
	}
	for i := range r.list {
		if r.list[i].name != remote.Type {
			continue
		}
		var failed error
		if remote.Rebuilt, failed = guard(r.list[i].rebuild, remote); failed != nil {
			r.Log.Warn("a remote error could not be rebuilt as its registered type", "type", remote.Type, "error", failed)
		}
	}
	return err
}

// guard calls a function that uses the JSON methods of a type, and recovers from panics.
func guard[A, R any](f func(A) (R, error), a A) (result R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(a)
}

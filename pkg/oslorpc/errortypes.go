package oslorpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// WithErrorType registers the errors of a Go type under a name, at the programs whose methods fail with them and at those that
// want to tell them apart: errors.As then finds an E in the error of a call, beside the [RemoteError], whose Type is the
// name, however many servers it came through. E is the type that errors.As is asked for, mostly a pointer to a struct.
//
// The exported fields travel as JSON, under their JSON names; give those that must not the tag `json:"-"`. An error that
// arrives without its fields (they did not fit into 3 KiB, or the sender does not know the type), or with fields that E cannot
// take, is a [RemoteError] alone, and the latter is logged.
//
// Of an error that wraps others, the outermost with a registered type counts. A name that is used twice, or begins with
// "oslorpc.", is an error of [Open], and so is an E that cannot be JSON.
func WithErrorType[E error](name string) TransportOption {
	return transportOption(func(c *config) { c.errors.add(newKnownType(name, reflect.TypeFor[E]())) })
}

// WithErrorValue registers one error, such as the result of errors.New, under a name, as [WithErrorType] does the errors of a type:
// errors.Is then finds it in the error of a call whose method failed with it, or with an error that wraps it.
func WithErrorValue(name string, value error) TransportOption {
	return transportOption(func(c *config) { c.errors.add(newKnownValue(name, value)) })
}

// knownError is what a program registered for a name.
type knownError struct {
	name string
	err  error // what is wrong with the registration
	// is reports whether an error has the type, whatever it wraps.
	is func(error) bool
	// data returns the fields of such an error as JSON text.
	data func(error) (string, error)
	// rebuild makes the error of what arrived.
	rebuild func(*RemoteError) (error, error)
}

func newKnownType(name string, t reflect.Type) knownError {
	base := t
	if t.Kind() == reflect.Pointer {
		base = t.Elem()
	}
	known := knownError{
		name: name,
		is:   func(err error) bool { return baseOf(err) == base },
		data: func(err error) (string, error) { return payload.Marshal(err, rpc.BadResult) },
		rebuild: func(r *RemoteError) (error, error) {
			if r.Data == "" {
				return nil, nil
			}
			made := reflect.New(base)
			if err := payload.Unmarshal(r.Data, made.Interface(), rpc.BadResult); err != nil {
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
		known.err = invalidUse("%v cannot be registered as the error type %q: give a type of your own that is no interface", t, name)
	default:
		if _, err := guard(known.data, reflect.New(base).Interface().(error)); err != nil {
			known.err = invalidUse("%v cannot be registered as the error type %q: its fields cannot be JSON: %v", t, name, err)
		}
	}
	return known
}

// baseOf returns the type of an error without the pointer: methods may return either.
func baseOf(err error) reflect.Type {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func newKnownValue(name string, value error) knownError {
	known := knownError{
		name: name,
		is: func(err error) bool {
			if err == value { //nolint:errorlint // Whoever asks unwraps.
				return true
			}
			alike, ok := err.(interface{ Is(target error) bool })
			return ok && alike.Is(value)
		},
		data:    func(error) (string, error) { return "", nil },
		rebuild: func(*RemoteError) (error, error) { return value, nil },
	}
	if value == nil || isOurs(value) || !reflect.ValueOf(value).Comparable() {
		known.err = invalidUse("%T cannot be registered as the error %q: give a value of your own that can be compared", value, name)
	}
	return known
}

// isOurs reports whether an error is of the library's own family, which says what became of a message; it must not be said of
// another message.
func isOurs(err any) bool {
	switch err.(type) {
	case *Error, *RemoteError, Kind:
		return true
	default:
		return false
	}
}

// knownErrors are the errors that a program registered. They are not changed after the transport was opened.
type knownErrors struct {
	list []knownError // in the order of their registration
	log  *slog.Logger
}

func (t *knownErrors) add(known knownError) { t.list = append(t.list, known) }

// check returns what is wrong with the registrations.
func (t *knownErrors) check() error {
	names := map[string]bool{"": true, "panic": true, "error": true}
	for _, known := range t.list {
		switch {
		case known.err != nil:
			return known.err
		case names[known.name] || strings.HasPrefix(known.name, "oslorpc."):
			return invalidUse("error type %q is registered twice, or the name is reserved: choose another, such as package.Type", known.name)
		}
		names[known.name] = true
	}
	return nil
}

// named returns a method whose failures have their registered names.
func (t *knownErrors) named(m *dispatch.Method) *dispatch.Method {
	if len(t.list) == 0 {
		return m
	}
	return around(m, func(ctx context.Context, emit dispatch.Emit, invoke dispatch.Invocation) error {
		err := invoke(ctx, emit)
		if failure, ok := errors.AsType[*dispatch.MethodError](err); ok {
			t.name(failure)
		}
		return err
	})
}

// name gives a failure the name of its registered type, if it has one.
func (t *knownErrors) name(failure *dispatch.MethodError) {
	known, err := t.find(failure.Err)
	if known == nil {
		return
	}
	failure.Type = known.name
	if failure.Data, err = guard(known.data, err); err != nil {
		t.log.Warn("the fields of an error cannot be sent", "type", known.name, "error", err)
	}
}

// find returns the outermost error of a chain that has a registered type, and the type. What came from another server has its
// name already.
func (t *knownErrors) find(err error) (*knownError, error) {
	if err == nil || isOurs(err) {
		return nil, nil
	}
	for i := range t.list {
		if t.list[i].is(err) {
			return &t.list[i], err
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // This unwraps.
	case interface{ Unwrap() error }:
		return t.find(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			if known, err := t.find(err); known != nil {
				return known, err
			}
		}
	}
	return nil, nil
}

// rebuild completes the error of a method with the Go error that is registered for it. An error that cannot be rebuilt stays as
// it is: what happened at the server is worth more than why this program cannot read it.
func (t *knownErrors) rebuild(err error) error {
	if err == nil || len(t.list) == 0 {
		return err
	}
	remote, ok := errors.AsType[*RemoteError](err)
	if !ok {
		return err
	}
	for i := range t.list {
		if t.list[i].name != remote.Type {
			continue
		}
		var failure error
		if remote.Rebuilt, failure = guard(t.list[i].rebuild, remote); failure != nil {
			t.log.Warn("a remote error could not be rebuilt as the type that is registered for it", "type", remote.Type, "error", failure)
		}
	}
	return err
}

// guard calls a function that leads to the JSON methods of a type, which may panic.
func guard[A, R any](f func(A) (R, error), a A) (result R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(a)
}

package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// portError is an error with fields. One of them is not sent.
type portError struct {
	Port  string `json:"port"`
	Tries int64  `json:"tries"`
	Err   error  `json:"-"`
}

func (e *portError) Error() string { return "port " + e.Port + " is gone" }

func (e *portError) Unwrap() error { return e.Err }

// codeError is an error that is not a struct.
type codeError int

func (c codeError) Error() string { return fmt.Sprint("code ", int(c)) }

// trickyError has JSON methods that fail.
type trickyError struct{ How string }

func (e trickyError) Error() string { return "tricky: " + e.How }

func (e trickyError) MarshalJSON() ([]byte, error) {
	switch e.How {
	case "panics when written":
		panic("ouch")
	case "fails when written":
		return nil, errors.New("unwritable")
	}
	return []byte(`"` + e.How + `"`), nil
}

func (e *trickyError) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"panics when read"`:
		panic("ouch")
	case `"fails when read"`:
		return errors.New("unreadable")
	}
	e.How = strings.Trim(string(b), `"`)
	return nil
}

var (
	errNotFound = errors.New("not found")
	errOther    = errors.New("other")
)

func registered() []oslorpc.TransportOption {
	return []oslorpc.TransportOption{
		oslorpc.WithErrorType[*portError]("ports.PortError"), oslorpc.WithErrorType[codeError]("ports.Code"),
		oslorpc.WithErrorType[trickyError]("ports.Tricky"), oslorpc.WithErrorValue("ports.NotFound", errNotFound),
		oslorpc.WithErrorValue("fs.NotExist", fs.ErrNotExist),
	}
}

// failing serves a method `fail` that fails with err, and a stream that fails with err after one
// item.
func failing(t *testing.T, err error, options ...oslorpc.TransportOption) {
	t.Helper()
	serveOn(t, open(t, options...), oslorpc.Target{Topic: t.Name(), Server: "node1"}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"fail": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, err }),
		"stream": oslorpc.Stream(func(context.Context, oslorpc.NoArgs) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, err) }
		}),
	}})
}

// fail calls a method of failing and returns the error, and its remote error.
func fail(t *testing.T, options ...oslorpc.TransportOption) (error, *oslorpc.RemoteError) {
	t.Helper()
	_, err := oslorpc.Call[any](t.Context(), open(t, options...).Client(oslorpc.Target{Topic: t.Name()}), "fail", nil)
	remote, ok := errors.AsType[*oslorpc.RemoteError](err)
	if !ok || oslorpc.KindOf(err) != oslorpc.Remote {
		t.Fatalf("got %#v", err)
	}
	return err, remote
}

func is(value error) func(error) bool { return func(err error) bool { return errors.Is(err, value) } }

func isPort(err error) bool {
	e, ok := errors.AsType[*portError](err)
	return ok && e.Port == "p1" && e.Tries == 1<<53+1
}

func TestRegisteredErrorsArriveAsTheGoErrors(t *testing.T) {
	gone := &portError{Port: "p1", Tries: 1<<53 + 1}
	for name, test := range map[string]struct {
		err     error
		is      func(error) bool
		typ     string
		message string
	}{
		"struct":            {gone, isPort, "ports.PortError", "port p1 is gone"},
		"wrapped":           {fmt.Errorf("bind: %w", gone), isPort, "ports.PortError", "bind: port p1 is gone"},
		"joined":            {errors.Join(errOther, gone), isPort, "ports.PortError", "other\nport p1 is gone"},
		"no struct":         {codeError(7), func(err error) bool { c, ok := errors.AsType[codeError](err); return ok && c == 7 }, "ports.Code", "code 7"},
		"value":             {errNotFound, is(errNotFound), "ports.NotFound", "not found"},
		"wrapped value":     {fmt.Errorf("bind: %w", errNotFound), is(errNotFound), "ports.NotFound", "bind: not found"},
		"what is the value": {&fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}, is(fs.ErrNotExist), "fs.NotExist", "open /x: no such file or directory"},
		"outermost":         {&portError{Port: "p1", Tries: 1<<53 + 1, Err: errNotFound}, isPort, "ports.PortError", "port p1 is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			failing(t, test.err, registered()...)
			err, remote := fail(t, registered()...)
			if remote.Type != test.typ || remote.Message != test.message || !test.is(err) {
				t.Errorf("got %#v, %v", remote, remote.Rebuilt)
			}
			for _, kind := range []error{oslorpc.Timeout, oslorpc.NoInstance, context.DeadlineExceeded} {
				if errors.Is(err, kind) {
					t.Errorf("it is %v", kind)
				}
			}
		})
	}
}

func TestErrorOfAStreamIsRebuilt(t *testing.T) {
	failing(t, &portError{Port: "p1", Tries: 1<<53 + 1}, registered()...)
	c := open(t, registered()...).Client(oslorpc.Target{Topic: t.Name()})
	items := 0
	for n, err := range oslorpc.Multicall[int](t.Context(), c, "stream", nil) {
		switch {
		case err == nil:
			items += n
		case !isPort(err):
			t.Errorf("got %#v", err)
		}
	}
	if items != 1 {
		t.Errorf("got %d items", items)
	}
	if _, err := oslorpc.Call[int](t.Context(), c, "stream", nil); !isPort(err) {
		t.Errorf("a call of it: %#v", err)
	}
}

// Intermediate servers pass an error on whether or not they know its type.
func TestRegisteredErrorsPassThroughOthers(t *testing.T) {
	for name, between := range map[string][]oslorpc.TransportOption{"that know it": registered(), "that do not": nil} {
		t.Run(name, func(t *testing.T) {
			failing(t, &portError{Port: "p1", Tries: 1<<53 + 1}, registered()...)
			to := t.Name()
			for _, topic := range []string{"second", "third"} {
				transport := open(t, between...)
				next := transport.Client(oslorpc.Target{Topic: to})
				to = t.Name() + topic
				serveOn(t, transport, oslorpc.Target{Topic: to, Server: topic}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
					"fail": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
						got, err := oslorpc.Call[any](ctx, next, "fail", nil)
						return got, fmt.Errorf("by way of %s: %w", topic, err)
					}),
				}})
			}
			_, err := oslorpc.Call[any](t.Context(), open(t, registered()...).Client(oslorpc.Target{Topic: to}), "fail", nil)
			remote, ok := errors.AsType[*oslorpc.RemoteError](err)
			if !ok || !isPort(err) || remote.Type != "ports.PortError" || fmt.Sprint(remote.Hops) != "[node1 second third]" {
				t.Errorf("got %#v of %v", remote, err)
			}
		})
	}
}

// An intermediate server may translate the error of another server into its own error.
func TestRegisteredErrorOfAServerBetweenCounts(t *testing.T) {
	failing(t, errNotFound, registered()...)
	transport := open(t, registered()...)
	inner := transport.Client(oslorpc.Target{Topic: t.Name()})
	serveOn(t, transport, oslorpc.Target{Topic: "outer", Server: "outer"}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"fail": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			_, err := oslorpc.Call[any](ctx, inner, "fail", nil)
			return nil, &portError{Port: "p1", Tries: 1<<53 + 1, Err: err}
		}),
	}})
	_, err := oslorpc.Call[any](t.Context(), open(t, registered()...).Client(oslorpc.Target{Topic: "outer"}), "fail", nil)
	if remote, _ := errors.AsType[*oslorpc.RemoteError](err); !isPort(err) || errors.Is(err, errNotFound) || fmt.Sprint(remote.Hops) != "[outer]" {
		t.Errorf("got %#v", remote)
	}
}

func TestErrorsThatAreNotRegisteredStayRemoteErrors(t *testing.T) {
	t.Run("at the client", func(t *testing.T) {
		failing(t, &portError{Port: "p1"}, registered()...)
		if _, remote := fail(t); remote.Rebuilt != nil || remote.Type != "ports.PortError" || remote.Data != `{"port":"p1","tries":0}` {
			t.Errorf("got %#v", remote)
		}
	})
	t.Run("at the server", func(t *testing.T) {
		failing(t, &portError{Port: "p1"})
		if _, remote := fail(t, oslorpc.WithErrorType[*portError]("oslorpc_test.portError")); remote.Rebuilt != nil || remote.Data != "" {
			t.Errorf("got %#v", remote)
		}
	})
}

// The caller must learn what happened on the server, whatever the methods of the error types do.
func TestErrorThatCannotBeRebuiltStaysItself(t *testing.T) {
	for how, written := range map[string]bool{
		"panics when written": false, "fails when written": false, "panics when read": true, "fails when read": true,
	} {
		t.Run(how, func(t *testing.T) {
			failing(t, trickyError{how}, registered()...)
			err, remote := fail(t, registered()...)
			if remote.Type != "ports.Tricky" || remote.Message != "tricky: "+how || remote.Rebuilt != nil || remote.Data != "" != written {
				t.Errorf("got %#v", remote)
			}
			if _, ok := errors.AsType[trickyError](err); ok || len(remote.Stack) != 0 {
				t.Errorf("got %#v", err)
			}
		})
	}
	t.Run("other fields", func(t *testing.T) {
		failing(t, codeError(7), oslorpc.WithErrorType[codeError]("ports.PortError"))
		if _, remote := fail(t, registered()...); remote.Rebuilt != nil || remote.Message != "code 7" {
			t.Errorf("got %#v", remote)
		}
	})
	t.Run("too large", func(t *testing.T) {
		failing(t, &portError{Port: strings.Repeat("p", 5000)}, registered()...)
		if _, remote := fail(t, registered()...); remote.Rebuilt != nil || remote.Data != "" || len(remote.Message) < 500 {
			t.Errorf("got %#v", remote)
		}
	})
}

// If a nested call times out, the outer call fails with a remote error and not with a timeout.
func TestErrorsOfTheLibraryStayTheNestedCalls(t *testing.T) {
	failing(t, fmt.Errorf("nested: %w", &oslorpc.Error{Kind: oslorpc.Timeout, Message: "late"}), registered()...)
	err, remote := fail(t, registered()...)
	if remote.Type != "oslorpc.Timeout" || !errors.Is(err, oslorpc.Remote) || errors.Is(err, oslorpc.Timeout) || remote.Rebuilt != nil {
		t.Errorf("got %#v", remote)
	}
}

type incomparableError []string

func (incomparableError) Error() string { return "" }

type hiddenError struct{ text string }

func (e *hiddenError) Error() string { return e.text }

func TestRegistrationsAreChecked(t *testing.T) {
	for name, option := range map[string]oslorpc.TransportOption{
		"our error":          oslorpc.WithErrorType[*oslorpc.Error]("a"),
		"our kind":           oslorpc.WithErrorType[oslorpc.Kind]("a"),
		"our value":          oslorpc.WithErrorValue("a", oslorpc.Timeout),
		"remote error":       oslorpc.WithErrorType[*oslorpc.RemoteError]("a"),
		"interface":          oslorpc.WithErrorType[error]("a"),
		"no exported fields": oslorpc.WithErrorType[*hiddenError]("a"),
		"nil":                oslorpc.WithErrorValue("a", nil),
		"not comparable":     oslorpc.WithErrorValue("a", incomparableError{"x"}),
		"no name":            oslorpc.WithErrorValue("", errOther),
		"reserved name":      oslorpc.WithErrorValue("oslorpc.Timeout", errOther),
		"name of panics":     oslorpc.WithErrorValue("panic", errOther),
		"name taken":         oslorpc.WithErrorValue("ports.NotFound", errOther),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oslorpc.Open("memory://", oslorpc.WithErrorValue("ports.NotFound", errNotFound), option)
			wantKind(t, err, oslorpc.Invalid, true)
		})
	}
}

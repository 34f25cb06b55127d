package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// ownError is an error type of a user.
type ownError struct{ text string }

func (e *ownError) Error() string { return e.text }

// valueError is an error type that is not a pointer.
type valueError int

func (e valueError) Error() string { return fmt.Sprint("value ", int(e)) }

func TestTypeNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("x"), "error"},
		{fmt.Errorf("x"), "error"},
		{fmt.Errorf("a: %w", errors.New("x")), "error"},
		{errors.Join(errors.New("x"), errors.New("y")), "error"},
		{errors.Join(&fs.PathError{}, &rpc.Error{Kind: rpc.Timeout}), "fs.PathError"},
		{errors.Join(errors.New("x"), fmt.Errorf("a: %w, %w", errors.New("y"), &rpc.Error{Kind: rpc.Timeout})), "oslorpc.Timeout"},
		{errors.Join(&rpc.Error{Kind: rpc.UnsupportedVersion}, nil), "oslorpc.UnsupportedVersion"},
		{&fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}, "fs.PathError"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", &fs.PathError{})), "fs.PathError"},
		{&ownError{"x"}, "dispatch.ownError"},
		{valueError(7), "dispatch.valueError"},
		{fmt.Errorf("a: %w", valueError(7)), "dispatch.valueError"},
		{&rpc.Error{Kind: rpc.Timeout}, "oslorpc.Timeout"},
		{fmt.Errorf("a: %w", &rpc.Error{Kind: rpc.NoInstance}), "oslorpc.NoInstance"},
		{context.DeadlineExceeded, "context.deadlineExceededError"},
		{panicError{"x"}, "panic"},
	} {
		if got := typeName(test.err); got != test.want {
			t.Errorf("%#v: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestWrappersAreThoseThatAreNotExported(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"errors.errorString": true, "fmt.wrapError": true, "fmt.wrapErrors": true, "errors.withStack": true,
		"errors.NotFound": false, "fs.PathError": false, "errorsx.wrapped": false, "format.wrapError": false, "": false,
	} {
		if got := isWrapper(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

func TestErrorOfAMethodIsRemote(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails(fmt.Errorf("while testing: %w", &ownError{"broken"}))})
	_, err := call(t.Context(), s, request("foo", ""))
	e := check(t, err, rpc.Remote, false, "dispatch.ownError: while testing: broken")
	if e.Server != "" || e.Method != "" {
		t.Errorf("the carrier, not dispatch, signs an error: %+v", e)
	}
	r := remote(t, err)
	if r.Type != "dispatch.ownError" || r.Message != "while testing: broken" || len(r.Stack) != 0 {
		t.Errorf("got %+v", r)
	}
	same(t, "hops", r.Hops, []string{"net1"})
	if started, failed := counts(s, "foo"); started != 1 || failed != 1 {
		t.Errorf("%d are counted as started, %d as failed", started, failed)
	}
}

func TestErrorFromFurtherOnKeepsItsOrigin(t *testing.T) {
	t.Parallel()
	further := &rpc.RemoteError{Type: "ValueError", Message: "no such port", Stack: []string{"line 1"}, Hops: []string{"agent3", "agent2"}}
	nested := &rpc.Error{Kind: rpc.Remote, Message: "not this", Cause: further}
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails(fmt.Errorf("bind: %w", nested))})
	_, err := call(t.Context(), s, request("foo", ""))
	r := remote(t, err)
	if r.Type != "ValueError" || r.Message != "no such port" {
		t.Errorf("got %+v", r)
	}
	same(t, "stack", r.Stack, further.Stack)
	same(t, "hops", r.Hops, []string{"agent3", "agent2", "net1"})
	same(t, "the hops of the original", further.Hops, []string{"agent3", "agent2"})
}

// If the failure of a method has a registered name, it is reported under this name, whatever error
// it wraps.
func TestRegisteredNameIsTheType(t *testing.T) {
	t.Parallel()
	further := &rpc.RemoteError{Type: "ValueError", Message: "no such port", Hops: []string{"agent3"}, Data: "1"}
	failure := fmt.Errorf("bind: %w", further)
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails(failure)})
	s.config.Describe = func(error) (string, string) { return "ports.Gone", `{"port":"p1"}` }
	_, err := call(t.Context(), s, request("foo", ""))
	r := remote(t, err)
	if r.Type != "ports.Gone" || r.Data != `{"port":"p1"}` || r.Message != failure.Error() {
		t.Errorf("got %+v", r)
	}
	same(t, "hops", r.Hops, []string{"net1"})
	s.config.Describe = func(error) (string, string) { return "", "" }
	_, err = call(t.Context(), s, request("foo", ""))
	if r := remote(t, err); r.Type != "ValueError" || r.Data != "1" {
		t.Errorf("without a name: %+v", r)
	}
}

// If a nested call did not start, this says nothing about the method.
func TestNestedFailureIsNotSafeToRetry(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails(&rpc.Error{Kind: rpc.NoInstance, Message: "nobody", NotStarted: true})})
	_, err := call(t.Context(), s, request("foo", ""))
	if r := remote(t, err); r.Type != "oslorpc.NoInstance" || rpc.SafeToRetry(err) || rpc.IsNotDelivered(err) {
		t.Errorf("got %+v", r)
	}
}

func panicking(value any) *Method {
	return plain(func(context.Context, Emit) error { panic(value) })
}

func dereferencing() *Method {
	return plain(func(context.Context, Emit) error {
		var none map[string]*ownError
		return errors.New(none["a"].text)
	})
}

func TestPanicIsRemoteAndTheServerLivesOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method *Method
		text   string
	}{
		"text":               {panicking("boom"), "boom"},
		"error":              {panicking(&ownError{"boom"}), "boom"},
		"nil":                {panicking(nil), "nil"},
		"nil pointer":        {dereferencing(), "nil pointer"},
		"while binding":      {&Method{Bind: func(string) (Invocation, error) { panic("boom") }}, "boom"},
		"in a deferred call": {plain(func(context.Context, Emit) error { defer func() { panic("second") }(); panic("first") }), "second"},
		"error without text": {fails((*ownError)(nil)), "nil pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := newLoggedServer(t, Limits{Workers: 1, Queue: 5, QueueBytes: 1000},
				map[string]*Method{"foo": test.method, "well": returns("1")}, newLog(&log))
			_, err := call(t.Context(), s, request("foo", "a"))
			r := remote(t, err)
			if r.Type != "panic" || !strings.Contains(r.Message, test.text) {
				t.Errorf("got %+v", r)
			}
			checkStack(t, r.Stack)
			if err := s.Cast(context.Background(), request("foo", "b")); err != nil {
				t.Fatal(err)
			}
			if _, err := call(t.Context(), s, request("well", "")); err != nil { // there is one worker
				t.Errorf("after a panic: %v", err)
			}
			if n := strings.Count(log.String(), "method panicked"); n != 2 {
				t.Errorf("it is logged %d times, want 2:\n%s", n, log.String())
			}
		})
	}
}

// checkStack fails the test unless a stack begins where the panic occurred.
func checkStack(t *testing.T, stack []string) {
	t.Helper()
	if len(stack) < 4 {
		t.Fatalf("the stack is short: %q", stack)
	}
	if text := strings.Join(stack[:4], "\n"); !strings.Contains(text, "dispatch.") && !strings.Contains(text, "runtime.") {
		t.Errorf("the stack does not begin with the panic: %s", text)
	}
	for _, line := range stack {
		if strings.Contains(line, "debug.Stack") || strings.HasPrefix(line, "goroutine ") {
			t.Errorf("the stack has what is not the method's: %s", line)
		}
	}
}

func TestStackBeginsWhereThePanicWas(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": panicking("boom")})
	_, err := call(t.Context(), s, request("foo", ""))
	if first := remote(t, err).Stack[0]; !strings.Contains(first, "panicking") {
		t.Errorf("the first line is %q", first)
	}
}

func TestPanicWhileBindingIsNotStarted(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": {Bind: func(string) (Invocation, error) { panic("boom") }}})
	_, err := call(t.Context(), s, request("foo", ""))
	remote(t, err) // and not the fault of the arguments
	if started, _ := counts(s, "foo"); started != 0 {
		t.Errorf("%d are counted as started", started)
	}
}

// A method may exit its goroutine, like tests that fail inside a method. Its worker becomes free.
func TestMethodThatEndsItsGoroutineGivesItsWorkerBack(t *testing.T) {
	t.Parallel()
	s := newServer(t, Limits{Workers: 1, Queue: 1, QueueBytes: 100}, map[string]*Method{
		"foo": plain(func(context.Context, Emit) error { runtime.Goexit(); return nil }), "well": returns("1"),
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = call(t.Context(), s, request("foo", ""))
	}()
	<-done
	if _, err := call(t.Context(), s, request("well", "")); err != nil {
		t.Error(err)
	}
}

func TestErrorOfTheCarrierIsPassedOn(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
	gone := &rpc.Error{Kind: rpc.Canceled, Message: "gone", Cause: io.EOF}
	large := &rpc.Error{Kind: rpc.TooLarge, Message: "large"}
	for i, want := range []*rpc.Error{gone, large} {
		err := s.Call(t.Context(), request("foo", ""), func(string) error { return want })
		if e := check(t, err, want.Kind, false); e != want {
			t.Errorf("got %v", err)
		}
		// A result that is not wanted is not a failure of the method. A result that cannot be sent
		// is.
		if started, failed := counts(s, "foo"); started != int64(i+1) || failed != int64(i) {
			t.Errorf("after %v, %d are counted as started and %d as failed", want, started, failed)
		}
	}
}

func TestFailureOfACastIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newLoggedServer(t, DefaultLimits, map[string]*Method{
		"foo": fails(&ownError{"broken"}),
		"bar": {Bind: func(string) (Invocation, error) { return nil, errors.New("unfit") }},
	}, newLog(&log))
	for _, method := range []string{"foo", "bar"} {
		if err := s.Cast(context.Background(), request(method, "")); err != nil {
			t.Error(err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cast failed", "dispatch.ownError: broken", "unfit", "server=net1", "method=foo", "method=bar"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestMethodErrorIsTheErrorItHolds(t *testing.T) {
	t.Parallel()
	err := error(&MethodError{Err: fmt.Errorf("a: %w", io.EOF)})
	if err.Error() != "a: EOF" || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

type markKey struct{}

func TestPrepareGivesTheMethodItsContextAndArguments(t *testing.T) {
	t.Parallel()
	var got string
	m := &Method{
		Prepare: func(ctx context.Context, kwargs string) (context.Context, string, error) {
			info := MessageFrom(ctx)
			return context.WithValue(ctx, markKey{}, info.Method), kwargs + "!", nil
		},
		Bind: func(kwargs string) (Invocation, error) {
			return func(ctx context.Context, _ Emit) error {
				got = fmt.Sprint(kwargs, " ", ctx.Value(markKey{}))
				return nil
			}, nil
		},
	}
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": m})
	r := request("foo", "")
	r.Kwargs = "{}"
	if _, err := call(t.Context(), s, r); err != nil || got != "{}! foo" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFailureOfPrepareIsNotStarted(t *testing.T) {
	t.Parallel()
	m := returns("1")
	m.Prepare = func(context.Context, string) (context.Context, string, error) { return nil, "", errors.New("unfit") }
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": m})
	_, err := call(t.Context(), s, request("foo", ""))
	check(t, err, rpc.BadArguments, true, "unfit")
	m.Prepare = func(context.Context, string) (context.Context, string, error) { panic("boom") }
	_, err = call(t.Context(), s, request("foo", ""))
	if r := remote(t, err); r.Type != "panic" {
		t.Errorf("got %+v", r)
	}
	if started, _ := counts(s, "foo"); started != 0 {
		t.Errorf("%d are counted as started", started)
	}
}

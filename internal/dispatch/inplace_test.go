package dispatch

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// lastWord receives the errors of methods that exited their goroutines.
type lastWord chan error

func (l lastWord) Exited(err error) { l <- err }

// A method that runs in place exits the goroutine of its caller. The caller gets the outcome before
// that, and the worker is free again.
func TestMethodThatEndsTheGoroutineOfItsCaller(t *testing.T) {
	t.Parallel()
	s := newServer(t, Limits{Workers: 1, Queue: 1, QueueBytes: 100}, map[string]*Method{
		"foo": plain(func(context.Context, Emit) error { runtime.Goexit(); return nil }), "well": returns("1"),
	})
	for range 3 {
		answer, over := make(lastWord, 1), make(chan bool)
		go func() {
			returned := false
			defer func() { over <- returned }()
			r := request("foo", "")
			r.InPlace = answer
			_, _ = call(t.Context(), s, r)
			returned = true
		}()
		if <-over {
			t.Fatal("the call returned")
		}
		check(t, <-answer, rpc.Remote, false, "runtime.Goexit")
	}
	r := request("well", "")
	answer := make(lastWord, 1)
	r.InPlace = answer
	if _, err := call(t.Context(), s, r); err != nil || len(answer) != 0 {
		t.Errorf("got %v, and %d answers", err, len(answer))
	}
	if load := s.Load(); load.Running != 0 {
		t.Errorf("%d messages run", load.Running)
	}
}

// If an interceptor exits the goroutine of a message before the method ran, the message did not
// start and may be sent again.
func TestInterceptorThatEndsTheGoroutineOfItsCaller(t *testing.T) {
	t.Parallel()
	s := newIntercepted(t, map[string]*Method{"foo": returns("1")}, io.Discard,
		around(func(context.Context, *rpc.Message, rpc.Next) error {
			runtime.Goexit()
			return nil
		}))
	for range 2 {
		answer := make(lastWord, 1)
		over := make(chan struct{})
		go func() {
			defer close(over)
			r := request("foo", "the same id")
			r.InPlace = answer
			if _, err := call(t.Context(), s, r); err != nil {
				answer <- errors.Join(errors.New("the call returned"), err)
			}
		}()
		<-over
		check(t, <-answer, rpc.AccessDenied, true, "ended its goroutine")
	}
}

// accepter counts how often a cast was reported as accepted.
type accepter struct{ accepted int }

func (a *accepter) Accepted() { a.accepted++ }

// A cast with an accepter runs on the goroutine of its caller after it was accepted.
func TestCastInPlace(t *testing.T) {
	t.Parallel()
	var a accepter
	ran, before := 0, 0
	s := newServer(t, Limits{Workers: 1, Queue: 1, QueueBytes: 100}, map[string]*Method{
		"foo": plain(func(context.Context, Emit) error { ran, before = ran+1, a.accepted; return nil }),
		"end": plain(func(context.Context, Emit) error { runtime.Goexit(); return nil }),
	})
	cast := func(method, id string) error {
		r := request(method, id)
		r.Accepter = &a
		return s.Cast(t.Context(), r)
	}
	if err := cast("foo", "a"); err != nil || ran != 1 || before != 1 || a.accepted != 1 {
		t.Errorf("got %v; it ran %d times, and was accepted %d times, %d before", err, ran, a.accepted, before)
	}
	if err := cast("foo", "a"); err != nil || ran != 1 || a.accepted != 1 {
		t.Errorf("got %v; a repeated cast made it run %d times, and be accepted %d times", err, ran, a.accepted)
	}
	check(t, cast("bar", "b"), rpc.NoSuchMethod, true)
	over := make(chan bool)
	go func() {
		returned := false
		defer func() { over <- returned }()
		_ = cast("end", "c")
		returned = true
	}()
	if <-over || a.accepted != 2 {
		t.Errorf("the method did not end its goroutine, or was accepted %d times", a.accepted-1)
	}
	if load := s.Load(); load.Running != 0 {
		t.Errorf("%d messages run", load.Running)
	}
}

package deadline

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

var errWhy = errors.New("why")

// A context ends like a context of package context, whether or not something waits for it.
func TestContextEnds(t *testing.T) {
	for name, waits := range map[string]bool{"asked": false, "waited for": true} {
		for end, do := range map[string]func(c *Context, cancel context.CancelCauseFunc){
			"time":   func(*Context, context.CancelCauseFunc) { time.Sleep(time.Minute) },
			"outer":  func(_ *Context, cancel context.CancelCauseFunc) { cancel(errWhy) },
			"itself": func(c *Context, _ context.CancelCauseFunc) { c.End() },
		} {
			t.Run(name+"/"+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					outer, cancel := context.WithCancelCause(context.WithValue(t.Context(), errWhy, 7))
					defer cancel(nil)
					at := time.Now().Add(time.Minute)
					c := New(outer, at)
					defer c.End()
					want, end := context.WithDeadline(outer, at)
					defer end()
					if waits {
						c.Done()
					}
					if c.Err() != nil || c.Value(errWhy) != 7 {
						t.Errorf("it has ended: %v, %v", c.Err(), c.Value(errWhy))
					}
					if do(c, cancel); c.Err() == context.Canceled && context.Cause(c) != errWhy { //nolint:errorlint // They are the same.
						end()
					}
					synctest.Wait()
					if c.Err() != want.Err() || context.Cause(c) != context.Cause(want) { //nolint:errorlint // They are the same.
						t.Errorf("it ends with %v, %v, want %v, %v", c.Err(), context.Cause(c), want.Err(), context.Cause(want))
					}
					<-c.Done()
				})
			})
		}
	}
}

func TestDeadline(t *testing.T) {
	soon, late := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	outer, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	for _, c := range []*Context{New(outer, late), New(t.Context(), soon)} {
		if at, ok := c.Deadline(); !ok || !at.Equal(soon) {
			t.Errorf("it ends at %v, %v, want %v", at, ok, soon)
		}
	}
}

// Deriving a context needs no goroutine.
func TestDerive(t *testing.T) {
	c := New(t.Context(), time.Now().Add(time.Hour))
	before := runtime.NumGoroutine()
	derived, cancel := context.WithCancel(c)
	defer cancel()
	if n := runtime.NumGoroutine(); n != before {
		t.Errorf("deriving a context starts %d goroutines", n-before)
	}
	c.End()
	<-derived.Done()
}

func TestSplit(t *testing.T) {
	at := time.Now().Add(time.Hour)
	c := New(t.Context(), at)
	defer c.End()
	if outer, end := Split(c); outer != t.Context() || !end.Equal(at) {
		t.Errorf("it is split into %v and %v", outer, end)
	}
	c.Done()
	if outer, end := Split(c); outer != c || !end.IsZero() {
		t.Errorf("one that has a channel is split into %v and %v", outer, end)
	}
	if n := testing.AllocsPerRun(100, func() {
		c := New(t.Context(), at)
		_, _ = c.Err(), c.Value(errWhy)
		_, _ = Split(c)
		c.End()
	}); n > 1 {
		t.Errorf("a context that nothing waits for takes %v allocations", n)
	}
}

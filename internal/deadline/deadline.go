// Package deadline has contexts with a deadline. Unlike the contexts of package context, they make
// a timer and a channel only when Done is first called. That saves them for most messages: these
// are answered before, or their carriers wait with reused timers.
package deadline

import (
	"context"
	"sync"
	"time"
)

// Context is a context with a deadline, which also ends with an outer context. It is safe for
// concurrent use.
type Context struct {
	outer context.Context //nolint:containedctx // It is one.
	at    time.Time

	mu    sync.Mutex
	inner context.Context //nolint:containedctx // Has the channel; nil until something waits for it.
	end   context.CancelFunc
	ended bool
}

// New returns a context that ends at a time, or with another context. Call End when it is no longer
// used.
func New(outer context.Context, at time.Time) *Context { return &Context{outer: outer, at: at} }

// End ends the context. It does nothing if c is nil.
func (c *Context) End() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.end != nil {
		c.end()
	}
}

// make makes the inner context, if there is none. The lock is held.
func (c *Context) make() {
	if c.inner == nil {
		c.inner, c.end = context.WithDeadline(c.outer, c.at)
		if c.ended {
			c.end()
		}
	}
}

// made returns the inner context, or nil if there is none.
func (c *Context) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inner
}

// Deadline returns the earlier deadline of both.
func (c *Context) Deadline() (at time.Time, ok bool) {
	if sooner, ok := c.outer.Deadline(); ok && sooner.Before(c.at) {
		return sooner, true
	}
	return c.at, true
}

// Done returns a channel that is closed when the context ends.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.make()
	return c.inner.Done()
}

// Err returns why the context ended, or nil if it has not.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		if c.outer.Err() == nil && !c.ended && time.Now().Before(c.at) {
			return nil
		}
		c.make() // the context has ended; the inner context says why
	}
	return c.inner.Err()
}

// Value returns a value of the outer context. If there is an inner context, it returns that
// context's value, so that package context finds it and needs no goroutine to derive a context from
// this one.
func (c *Context) Value(key any) any {
	if inner := c.made(); inner != nil {
		return inner.Value(key)
	}
	return c.outer.Value(key)
}

// Split splits ctx into an outer context and a deadline; ctx ends with the earlier of both. A
// caller that waits for both separately saves the allocation of a timer in ctx. If the time is
// zero, outer is ctx itself, and includes the deadline.
func Split(ctx context.Context) (outer context.Context, at time.Time) {
	if c, ok := ctx.(*Context); ok && c.made() == nil {
		return c.outer, c.at
	}
	return ctx, time.Time{}
}

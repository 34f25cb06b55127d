package dispatch

import (
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// runContext is the context of a running method. It ends with the carrier's context, or when the
// server is stopped by force, and it carries the message. Ending with either needs a joined
// context. Most methods never wait for the end, so that context is made only when a method first
// asks for Done.
type runContext struct {
	context.Context //nolint:containedctx // It is one.

	dispatcher *Dispatcher // its forced stop ends the context
	request    *Request

	mu     sync.Mutex
	joined context.Context //nolint:containedctx // Ends with either; nil until something waits for it.
	end    context.CancelCauseFunc
	unhook func() bool
	over   bool // the method returned
}

// Value makes the joined context known to package context, which then needs no goroutine to derive
// another context from this one.
func (c *runContext) Value(key any) any {
	if key == (runKey{}) {
		return c
	}
	if c.dispatcher.base.Err() != nil {
		c.endForced()
	}
	c.mu.Lock()
	joined := c.joined
	c.mu.Unlock()
	if joined != nil {
		return joined.Value(key)
	}
	return c.Context.Value(key)
}

// Done is closed when the carrier gives up, or the server is stopped by force.
func (c *runContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined == nil && c.over {
		return c.Context.Done()
	}
	c.join()
	return c.joined.Done()
}

// join makes the joined context. The lock is held.
func (c *runContext) join() {
	if c.joined == nil {
		c.joined, c.end = context.WithCancelCause(c.Context)
		c.unhook = context.AfterFunc(c.dispatcher.base, c.endForced)
	}
}

// endForced ends the joined context with the cause of the forced stop, so that [context.Cause]
// returns that cause.
func (c *runContext) endForced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.join()
		c.end(context.Cause(c.dispatcher.base))
	}
}

// Err returns why the context ended.
func (c *runContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	return c.dispatcher.base.Err()
}

// release frees the resources of a joined context when the method has returned.
func (c *runContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.joined != nil {
		c.unhook()
		c.end(nil)
	}
}

// context returns the context in which the method of a message runs, made from the carrier's ctx.
// Release it when the method has returned.
func (d *Dispatcher) context(ctx context.Context, r *Request) (context.Context, *runContext) {
	joined := &runContext{Context: ctx, dispatcher: d, request: r}
	return joined, joined
}

type runKey struct{}

// runOf returns the context of the method that ctx belongs to, or nil if it belongs to none.
func runOf(ctx context.Context) *runContext {
	c, _ := ctx.Value(runKey{}).(*runContext)
	return c
}

// MessageFrom returns the message that the method of ctx runs for, nil if ctx belongs to no method.
func MessageFrom(ctx context.Context) *rpc.Message {
	if c := runOf(ctx); c != nil {
		return c.message()
	}
	return nil
}

// message returns the message. Goroutines of the method may ask for it at the same time.
func (c *runContext) message() *rpc.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.request.Describe()
}

// Stopping returns a channel that is closed when the server of the method of ctx begins to refuse
// messages. It returns nil if ctx belongs to no method.
func Stopping(ctx context.Context) <-chan struct{} {
	if c := runOf(ctx); c != nil {
		return c.dispatcher.config.Phase.Refusing()
	}
	return nil
}

// Runs reports whether ctx belongs to a method that this server runs. A stop must not wait for a
// method that waits for the stop.
func (d *Dispatcher) Runs(ctx context.Context) bool {
	c := runOf(ctx)
	return c != nil && c.dispatcher == d
}

package dispatch

import (
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// runContext is the context of a method that runs: that of the carrier, with what was asked, and ended by a forced stop of the
// server. Most methods never wait for its end, so what that takes is made when one does.
type runContext struct {
	context.Context //nolint:containedctx // It is one.

	server *Server // whose forced stop ends it
	info   Info

	mu     sync.Mutex
	joined context.Context //nolint:containedctx // Ends with either; nil until somebody waits.
	end    context.CancelCauseFunc
	unhook func() bool
	over   bool // the method returned
}

// Value makes the joined context known to package context, which then needs no goroutine to derive another from this one.
func (c *runContext) Value(key any) any {
	if key == (runKey{}) {
		return c
	}
	if c.server.base.Err() != nil {
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
		c.unhook = context.AfterFunc(c.server.base, c.endForced)
	}
}

// endForced ends the joined context with the cause of the forced stop, which [context.Cause] then
// finds there.
func (c *runContext) endForced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.join()
		c.end(context.Cause(c.server.base))
	}
}

// Err returns why the context ended.
func (c *runContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	return c.server.base.Err()
}

// release frees what waiting for the end took, when the method has returned.
func (c *runContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.joined != nil {
		c.unhook()
		c.end(nil)
	}
}

type runKey struct{}

// Info says what a handler was asked.
type Info struct {
	Server    string
	Namespace string
	Version   rpc.Version
	Method    string
	MessageID string
	Caller    string
}

// InfoFrom returns what the handler that ctx belongs to was asked.
func InfoFrom(ctx context.Context) (Info, bool) {
	c, ok := ctx.Value(runKey{}).(*runContext)
	if !ok {
		return Info{}, false
	}
	return c.info, true
}

// Stopping returns a channel that is closed when the server that runs the method that ctx belongs
// to begins to refuse messages; nil if ctx belongs to none.
func Stopping(ctx context.Context) <-chan struct{} {
	c, ok := ctx.Value(runKey{}).(*runContext)
	if !ok {
		return nil
	}
	return c.server.phase.Refusing()
}

// Runs reports whether ctx belongs to a method that this server runs: one who waits for the server to end must not be waited for.
func (s *Server) Runs(ctx context.Context) bool {
	c, ok := ctx.Value(runKey{}).(*runContext)
	return ok && c.server == s
}

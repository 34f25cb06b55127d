package dispatch

import (
	"context"
	"sync"
)

// runContext is the context of a method that runs: that of the carrier, with what was asked, and ended by a forced stop of the
// server. Most methods never wait for its end, so what that takes is made when one does.
type runContext struct {
	context.Context //nolint:containedctx // It is one.

	info Info
	stop context.Context //nolint:containedctx // Ended by a forced stop.

	mu     sync.Mutex
	joined context.Context //nolint:containedctx // Ends with either; nil until somebody waits.
	end    func()
	over   bool // the method returned
}

// Value makes the joined context known to package context, which then needs no goroutine to derive another from this one.
func (c *runContext) Value(key any) any {
	if key == (infoKey{}) {
		return &c.info
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
	if c.joined == nil {
		joined, cancel := context.WithCancel(c.Context)
		unhook := context.AfterFunc(c.stop, cancel)
		c.joined = joined
		c.end = func() {
			unhook()
			cancel()
		}
	}
	return c.joined.Done()
}

// Err returns why the context ended.
func (c *runContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	return c.stop.Err()
}

// release frees what waiting for the end took, when the method has returned.
func (c *runContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.end != nil {
		c.end()
	}
}

type infoKey struct{}

// InfoFrom returns what the handler that ctx belongs to was asked.
func InfoFrom(ctx context.Context) (Info, bool) {
	info, ok := ctx.Value(infoKey{}).(*Info)
	if !ok {
		return Info{}, false
	}
	return *info, true
}

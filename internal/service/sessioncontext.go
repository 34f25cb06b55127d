package service

import (
	"context"
	"sync"
	"time"
)

// messageContext is the context of a message of a session. Most methods never wait for its end, so
// the channel, and the timer of the deadline, are made only when a method first does.
type messageContext struct {
	context.Context //nolint:containedctx // It has the values, and never ends.

	deadline time.Time // zero for none

	mu    sync.Mutex // guards what follows
	done  chan struct{}
	timer *time.Timer
	err   error
	// over is called when the context ends, unless it is settled before.
	over    func()
	settled bool
}

// Deadline returns when the context ends by itself.
func (c *messageContext) Deadline() (deadline time.Time, ok bool) {
	return c.deadline, !c.deadline.IsZero()
}

// Done returns a channel that is closed at the end.
func (c *messageContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return c.done
	}
	c.done = make(chan struct{})
	if c.err != nil {
		close(c.done)
	} else {
		c.watch()
	}
	return c.done
}

// watch ends the context at its deadline. The lock is held.
func (c *messageContext) watch() {
	if c.timer == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
	}
}

// whenOver has a function called once, on its own goroutine, if the context ends before settle is
// called.
func (c *messageContext) whenOver(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.settled:
	case c.err != nil:
		go do()
	default:
		c.over = do
		c.watch()
	}
}

// settle says that the end of the context no longer matters.
func (c *messageContext) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled, c.over = true, nil
}

// Err returns why the context ended, nil if it has not.
func (c *messageContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.endLocked(context.DeadlineExceeded)
	}
	return c.err
}

// end ends the context, unless it has ended.
func (c *messageContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(err)
}

func (c *messageContext) endLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.over != nil {
		go c.over()
		c.over = nil
	}
}

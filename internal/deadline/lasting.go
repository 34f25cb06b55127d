package deadline

import (
	"context"
	"time"
)

// Lasting is a context with values but without an end. Unlike [context.WithoutCancel], it does not
// allocate when a value is looked up.
type Lasting struct{ context.Context } //nolint:containedctx // It is one.

// Deadline returns no deadline.
func (Lasting) Deadline() (at time.Time, ok bool) { return at, false }

// Done returns nil.
func (Lasting) Done() <-chan struct{} { return nil }

// Err returns nil.
func (Lasting) Err() error { return nil }

// Value returns a value of the context. To find the parent that cancels a context, package context
// looks up a pointer to an int. The result is nil for that, since the parent does not end this
// context.
func (c Lasting) Value(key any) any {
	if _, ok := key.(*int); ok {
		return nil
	}
	return c.Context.Value(key)
}

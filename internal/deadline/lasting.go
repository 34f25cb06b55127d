package deadline

import (
	"context"
	"time"
)

// Lasting is a context without its end. [context.WithoutCancel] allocates something for each value
// that is asked for.
type Lasting struct{ context.Context } //nolint:containedctx // It is one.

// Deadline returns none.
func (Lasting) Deadline() (at time.Time, ok bool) { return at, false }

// Done returns nil.
func (Lasting) Done() <-chan struct{} { return nil }

// Err returns nil.
func (Lasting) Err() error { return nil }

// Value returns a value of the context. Package context asks with a pointer to a number for what
// ends a context that it made, which does not end this one.
func (c Lasting) Value(key any) any {
	if _, ok := key.(*int); ok {
		return nil
	}
	return c.Context.Value(key)
}

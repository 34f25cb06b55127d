package deadline

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A lasting context has the values of another context, but neither its end nor its cause.
func TestLasting(t *testing.T) {
	type key struct{}
	outer, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	bounded, stop := context.WithTimeout(outer, time.Hour)
	defer stop()
	ctx := Lasting{bounded}
	derived, end := context.WithCancel(ctx)
	cancel(errors.New("the reason"))
	for _, c := range []context.Context{ctx, derived} {
		if _, ok := c.Deadline(); ok || c.Err() != nil || context.Cause(c) != nil || c.Value(key{}) != "value" {
			t.Errorf("it ends: %v, %v", c.Err(), context.Cause(c))
		}
	}
	end()
	if !errors.Is(derived.Err(), context.Canceled) {
		t.Errorf("the derived one ended with %v", derived.Err())
	}
}

package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/deadline"
)

// The context of a message ends like contexts of package context, whether or not a goroutine
// already waits for it.
func TestContextOfAMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stream, broken := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "value"))
		defer broken()
		for _, waits := range []bool{false, true} {
			for want, end := range map[error]func(*messageContext){
				context.Canceled:         func(c *messageContext) { c.end(context.Canceled) },
				context.DeadlineExceeded: func(*messageContext) { time.Sleep(time.Second) },
			} {
				c := &messageContext{Context: deadline.Lasting{Context: stream}, deadline: time.Now().Add(time.Second)}
				child, cancel := context.WithCancel(c)
				if waits {
					c.Done()
				}
				if at, ok := c.Deadline(); c.Err() != nil || child.Err() != nil || !ok || !at.Equal(c.deadline) {
					t.Errorf("at first: %v, %v", c.Err(), at)
				}
				end(c)
				<-c.Done()
				<-child.Done()
				c.end(errors.New("it has ended before"))
				if !errors.Is(c.Err(), want) || !errors.Is(context.Cause(c), want) || !errors.Is(child.Err(), want) {
					t.Errorf("got %v, %v, %v; want %v", c.Err(), context.Cause(c), child.Err(), want)
				}
				cancel()
			}
		}
		c := &messageContext{Context: deadline.Lasting{Context: stream}}
		broken()
		if _, ok := c.Deadline(); ok || c.Err() != nil || context.Cause(c) != nil || c.Value(valueKey{}) != "value" {
			t.Errorf("when the stream broke: %v, %v", c.Err(), context.Cause(c))
		}
	})
}

type valueKey struct{}

package consul

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff computes the growing pauses after failed attempts. Its zero value begins with one second.
type backoff struct {
	last time.Duration
}

// next returns the pause after another failure. The pause is at most most, plus jitter.
func (b *backoff) next(most time.Duration) time.Duration {
	b.last = min(max(time.Second, b.last*8/5), most)
	return jitter(b.last)
}

// jitter returns d, up to a fifth more or less, so that a fleet does not act in step.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}

// sleep waits for d, and returns true. It returns false as soon as ctx ends or wake is closed.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return false
	case <-ctx.Done():
		return false
	}
}

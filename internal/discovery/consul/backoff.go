package consul

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is the pauses between attempts that fail: the first, then longer ones. Its zero value is
// ready.
type backoff struct {
	last time.Duration
}

// next returns the pause after a failure, not more than most.
func (b *backoff) next(most time.Duration) time.Duration {
	b.last = min(max(time.Second, b.last*8/5), most)
	return jitter(b.last)
}

// jitter returns d, a fifth more or less, so that a fleet does not act in step.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}

// sleep reports whether it was undisturbed: false at once if ctx ends or a call wakes it.
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

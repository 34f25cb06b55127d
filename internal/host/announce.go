package host

import (
	"context"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// announcer publishes the servers of a host in the registry. Changes are numbered. One Publish runs
// at a time and includes all changes made before it began, so that servers that start together are
// published together.
type announcer struct {
	registry registry.Registry
	// current returns the instances to announce. It takes the lock of the host.
	current func() []rpc.Instance
	// turn is a lock for Publish: the caller that has the token publishes. It is a channel so that
	// a wait for it can end with a context.
	turn chan struct{}

	// life is the context of work in the background. It ends when the announcer is closed.
	life       context.Context //nolint:containedctx // It is the announcer's own.
	end        context.CancelFunc
	background sync.WaitGroup

	mu         sync.Mutex
	made, told uint64 // the number of the last change, and of the last published one
	// failure is the error of the Publish that included the changes up to failed.
	failed  uint64
	failure error
	// settling is true while a goroutine publishes outstanding changes in the background.
	settling bool
}

func newAnnouncer(registry registry.Registry, current func() []rpc.Instance) *announcer {
	a := &announcer{registry: registry, current: current, turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	a.life, a.end = context.WithCancel(context.Background())
	return a
}

// changed records a change, and returns its number.
func (a *announcer) changed() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made++
	return a.made
}

// hasTold reports whether a change was published.
func (a *announcer) hasTold(change uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return change <= a.told
}

// tell publishes a change, unless another caller's Publish included it. It returns when the change
// is published, or when the Publish that included it failed.
func (a *announcer) tell(ctx context.Context, change uint64) error {
	if !a.take(ctx) {
		return tooLate(ctx, "discovery was still told of earlier changes")
	}
	defer func() { a.turn <- struct{}{} }()
	upTo, err := a.untold(change)
	if upTo == 0 {
		return err
	}
	err = a.registry.Publish(ctx, a.current())
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.told = upTo
	case ctx.Err() == nil: // if ctx ended, other callers should still try
		a.failed, a.failure = upTo, err
	}
	return err
}

// take waits for the turn until ctx ends, and reports whether it got the turn. If the turn is free,
// it succeeds even if ctx has ended, because some registries need no time to publish.
func (a *announcer) take(ctx context.Context) bool {
	select {
	case <-a.turn:
		return true
	default:
	}
	select {
	case <-a.turn:
		return true
	case <-ctx.Done():
		return false
	}
}

// untold returns the number of the last change, which a Publish that begins now would include. It
// returns 0 if an earlier Publish included the given change already; the error is the result of
// that Publish.
func (a *announcer) untold(change uint64) (upTo uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case change <= a.told:
		return 0, nil
	case change <= a.failed:
		return 0, a.failure
	default:
		return a.made, nil
	}
}

const (
	// settleTimeout bounds each Publish in the background.
	settleTimeout = 10 * time.Second
	// minSettlePause and maxSettlePause bound the pauses between attempts.
	minSettlePause = time.Second
	maxSettlePause = 15 * time.Second
)

// settle publishes the present servers in the background, and retries until that succeeds. It is
// called if the registry did not get a change, because a stop timed out or the registry is
// unreachable. Otherwise the registry would list a stopped server for as long as the process lives.
func (a *announcer) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made++ // a running loop must publish once more
	if a.settling || a.life.Err() != nil {
		return
	}
	a.settling = true
	a.background.Go(func() {
		for pause := minSettlePause; ; pause = min(2*pause, maxSettlePause) {
			if err := a.tellAll(); err == nil && a.isSettled() || err != nil && !sleep(a.life, pause) {
				return
			}
		}
	})
}

// tellAll publishes the present servers, as a new change.
func (a *announcer) tellAll() error {
	ctx, cancel := context.WithTimeout(a.life, settleTimeout)
	defer cancel()
	return a.tell(ctx, a.changed())
}

// isSettled reports whether all changes are published. If so, it sets settling to false.
func (a *announcer) isSettled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settling = a.told < a.made
	return !a.settling
}

// close ends what the announcer does in the background.
func (a *announcer) close() {
	a.mu.Lock()
	a.end()
	a.mu.Unlock()
	a.background.Wait()
}

// sleep returns true after the pause, or false as soon as ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

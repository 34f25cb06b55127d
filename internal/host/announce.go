package host

import (
	"context"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// announcer tells the registry about the servers of a host. Changes are numbered. One Publish runs
// at a time and tells all changes made until then, so that servers that start together are
// announced together.
type announcer struct {
	registry registry.Registry
	// current returns the instances to announce. It takes the lock of the host.
	current func() []rpc.Instance
	// turn holds one token, for the caller that publishes. It is a channel so that waiting for it
	// ends with a context.
	turn chan struct{}

	// life ends with the announcer, and ends what it does in the background.
	life       context.Context //nolint:containedctx // It is the announcer's own.
	end        context.CancelFunc
	background sync.WaitGroup

	mu         sync.Mutex
	made, told uint64 // the last change, and the last that the registry has taken
	// failure is why the registry did not take the changes up to failed.
	failed  uint64
	failure error
	// settling is true while untold changes are told in the background.
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

// hasTold reports whether the registry has taken a change.
func (a *announcer) hasTold(change uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return change <= a.told
}

// tell returns when the registry has taken a change, or when the Publish for that change failed.
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
	case ctx.Err() == nil: // otherwise the failure is this caller's own
		a.failed, a.failure = upTo, err
	}
	return err
}

// take waits for the turn, and reports whether it got the turn. It takes a free turn even if ctx
// has ended, because some registries need no time.
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

// untold returns the number of the last change that a Publish beginning now includes. It returns 0
// if another caller's Publish included the change already; the error is the outcome of that
// Publish.
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
	// settleTimeout is how long the registry is given in the background.
	settleTimeout = 10 * time.Second
	// minSettlePause and maxSettlePause bound the pauses between attempts.
	minSettlePause = time.Second
	maxSettlePause = 15 * time.Second
)

// settle publishes, in the background, changes that the registry did not get because the stop timed
// out or the registry is unreachable. Otherwise it would list a stopped server for as long as the
// process lives.
func (a *announcer) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made++ // for a loop that is settling already
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

// tellAll publishes everything again, as a new change.
func (a *announcer) tellAll() error {
	ctx, cancel := context.WithTimeout(a.life, settleTimeout)
	defer cancel()
	return a.tell(ctx, a.changed())
}

// isSettled reports whether the registry has all changes, and ends the settling if so.
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

package host

import (
	"context"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
)

// news has the changes that a host must tell the registry about its servers. Changes are
// numbered. One Publish runs at a time and tells all changes made until then, so that servers that
// start together are announced together. The host's lock guards it, except the turn.
type news struct {
	// turn holds one token, for the one that publishes. It is a channel so that waiting for it ends
	// with a context.
	turn chan struct{}

	made, told uint64 // the last change, and the last that the registry has taken
	// failure is why the registry did not take the changes up to failed.
	failed  uint64
	failure error
	// settling is true while untold changes are told in the background.
	settling   bool
	background sync.WaitGroup
}

// take waits for the turn, and reports whether it has it. It takes a free turn even if ctx has
// ended: some registries need no time.
func (n *news) take(ctx context.Context) bool {
	select {
	case <-n.turn:
		return true
	default:
	}
	select {
	case <-n.turn:
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *news) give() { n.turn <- struct{}{} }

// announce returns when the registry has taken a change, or when a Publish that had it failed. The
// lock is not held.
func (h *Host) announce(ctx context.Context, change uint64) error {
	if !h.news.take(ctx) {
		return tooLate(ctx, "discovery was still told of earlier changes")
	}
	defer h.news.give()
	list, upTo, err := h.untold(change)
	if upTo == 0 {
		return err
	}
	err = h.config.Registry.Publish(ctx, list)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.news.told = upTo
	case ctx.Err() == nil: // otherwise the failure is this caller's own
		h.news.failed, h.news.failure = upTo, err
	}
	return err
}

// untold returns the instances to publish and the number of the last change that they have. The
// number is 0 if there is nothing to do for a change, since another caller's Publish had it; the
// error says what became of that.
func (h *Host) untold(change uint64) (list []discovery.Instance, upTo uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch n := &h.news; {
	case change <= n.told:
		return nil, 0, nil
	case change <= n.failed:
		return nil, 0, n.failure
	}
	if h.site != nil {
		list = h.site.announced()
	}
	return list, h.news.made, nil
}

// How long the registry is given in the background, and the pauses between attempts.
const (
	settleTimeout  = 10 * time.Second
	minSettlePause = time.Second
	maxSettlePause = 15 * time.Second
)

// settle tells the registry in the background of changes that it was not told of, since the time
// for the stop was up or the registry is away. Otherwise it would list a stopped server for as
// long as the process lives.
func (h *Host) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news.made++ // for one that is settling already
	if h.news.settling || h.life.Err() != nil {
		return
	}
	h.news.settling = true
	h.news.background.Go(func() {
		for pause := minSettlePause; ; pause = min(2*pause, maxSettlePause) {
			if err := h.tellAll(); err == nil && h.isSettled() || err != nil && !sleep(h.life, pause) {
				return
			}
		}
	})
}

// isSettled reports whether the registry was told everything, and ends the settling if so.
func (h *Host) isSettled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news.settling = h.news.told < h.news.made
	return !h.news.settling
}

// tellAll tells everything anew, as a change of its own.
func (h *Host) tellAll() error {
	h.mu.Lock()
	h.news.made++
	change := h.news.made
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.life, settleTimeout)
	defer cancel()
	return h.announce(ctx, change)
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

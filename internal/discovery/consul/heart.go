package consul

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// heart keeps the registrations of a process alive. It regularly reports to the TTL check of the
// process's service that the process is alive, which is called a beat, and registers services that
// Consul lost again.
type heart struct {
	publisher *publisher
	// process is the service of the process. Only the heart's goroutine changes it, while it holds
	// the publisher's turn.
	process *registration
	note    string
	cancel  context.CancelFunc
	ended   chan struct{}
	// early requests that the heart compares all registrations now.
	early chan struct{}

	// The following fields belong to the loop.
	lookAt   time.Time
	lastBeat time.Time // when the last beat that arrived was sent
	failures backoff
	failing  bool
}

func startHeart(p *publisher, process *registration) *heart {
	ctx, cancel := context.WithCancel(p.life)
	h := &heart{
		publisher: p, process: process, cancel: cancel, ended: make(chan struct{}), early: make(chan struct{}, 1),
		lookAt: time.Now().Add(jitter(p.lookEvery)), lastBeat: time.Now(),
		note: fmt.Sprintf("%s, process %d, is alive", filepath.Base(os.Args[0]), os.Getpid()),
	}
	go h.run(ctx)
	return h
}

// stop ends the heart, and returns when its goroutine has ended. The caller may hold the
// publisher's turn.
func (h *heart) stop() {
	h.cancel()
	<-h.ended
}

// look makes the heart compare all registrations soon, and correct them.
func (h *heart) look() {
	select {
	case h.early <- struct{}{}:
	default:
	}
}

func (h *heart) run(ctx context.Context) {
	defer close(h.ended)
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { (&sight{publisher: h.publisher, repair: h.look}).run(ctx) })
	pause := jitter(beatEvery(h.publisher.ttl))
	for {
		if !sleep(ctx, pause, h.early) {
			h.lookAt = time.Time{}
		}
		if ctx.Err() != nil {
			return
		}
		err := h.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		h.report(err)
		pause = h.pause(err)
	}
}

// beat sends a beat. If the check is missing, or lookAt has passed, it also compares all
// registrations and corrects them.
func (h *heart) beat(ctx context.Context) error {
	sent := time.Now()
	loss, err := h.send(ctx)
	if err != nil {
		return err
	}
	if loss == checkKept {
		h.arrived(sent)
		if time.Now().Before(h.lookAt) {
			return nil
		}
	}
	if err := h.publisher.repair(ctx, loss); err != nil {
		return err
	}
	h.lookAt = time.Now().Add(jitter(h.publisher.lookEvery))
	h.lastBeat = sent // the loss was reported, so arrived need not report it, too
	return nil
}

// send sends a beat, and returns what happened to the TTL check. If Consul denies permission,
// either the token lacks it, or a service of another token has taken over the check's id.
func (h *heart) send(ctx context.Context) (checkLoss, error) {
	exists, err := h.publisher.client.beat(ctx, h.process.Check.CheckID, h.note)
	switch {
	case code(err) == http.StatusForbidden:
		if holds, failure := h.publisher.client.holds(ctx, h.process); failure != nil || holds {
			return checkKept, err
		}
		return checkTaken, nil
	case err == nil && !exists:
		return checkGone, nil
	default:
		return checkKept, err
	}
}

// arrived records that a beat arrived. It reports a lapse if the check may have expired before.
func (h *heart) arrived(sent time.Time) {
	if silence := between(h.lastBeat, time.Now()); silence > h.publisher.ttl {
		h.publisher.lapsed(fmt.Sprintf("Consul had no sign of life for %s, and takes a process for dead after %s",
			silence.Round(time.Second), h.publisher.ttl))
	}
	h.lastBeat = sent
}

// between returns the time from start to end, by the monotonic clock or the wall clock, whichever
// is longer. The monotonic clock may stand still while the machine is suspended, and the wall clock
// may be set back.
func between(start, end time.Time) time.Duration {
	return max(end.Sub(start), end.Round(0).Sub(start.Round(0)))
}

// report logs when beats begin to fail and when they work again.
func (h *heart) report(err error) {
	switch log := h.publisher.log; {
	case err != nil && !h.failing:
		log.Warn("cannot renew the registration in Consul; trying again", "error", err)
	case err == nil && h.failing:
		log.Info("Consul reachable again; registration renewed")
	}
	h.failing = err != nil
}

// pause returns the time until the next beat. It is shorter after a failure, since only a beat
// shows that Consul is back and whether it lost the registrations.
func (h *heart) pause(err error) time.Duration {
	if err == nil {
		h.failures = backoff{}
		return jitter(beatEvery(h.publisher.ttl))
	}
	return h.failures.next(min(beatEvery(h.publisher.ttl), 4*time.Second))
}

// beatEvery returns the pause between beats, without jitter. The check survives if one beat is
// lost, and usually even two.
func beatEvery(ttl time.Duration) time.Duration { return ttl / 3 }

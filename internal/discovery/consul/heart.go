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

// heart keeps what a process published alive: it sends signs of life for the process, and puts back
// what Consul lost.
type heart struct {
	publisher *publisher
	// process is the process's service. Only the heart's own goroutine changes it, with the turn of
	// the publisher.
	process *registration
	note    string
	cancel  context.CancelFunc
	ended   chan struct{}
	// early asks for a look at once.
	early chan struct{}

	// The loop's own.
	lookAt   time.Time
	lastBeat time.Time // when the last one that arrived was sent
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

// stop returns when the heart does nothing any more. It may hold the publisher's turn.
func (h *heart) stop() {
	h.cancel()
	<-h.ended
}

// look has the heart look soon whether everything is registered as it should be.
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

// beat sends a sign of life. If the check is not there, or it is time to, it looks at everything.
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
	h.lastBeat = sent // a lost check was told of already
	return nil
}

// send sends a sign of life, and returns what became of the check that takes it. If Consul refuses
// it, either the token lacks a permission or another token took the check.
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

// arrived notes a beat, and says so if the one before may have expired by then.
func (h *heart) arrived(sent time.Time) {
	if silence := between(h.lastBeat, time.Now()); silence > h.publisher.ttl {
		h.publisher.lapsed(fmt.Sprintf("Consul had no sign of life for %s, and takes a process for dead after %s",
			silence.Round(time.Second), h.publisher.ttl))
	}
	h.lastBeat = sent
}

// between returns how much time passed by whichever clock says more: the monotonic one may stand
// still while the machine is suspended, and the other may be set back.
func between(start, end time.Time) time.Duration {
	return max(end.Sub(start), end.Round(0).Sub(start.Round(0)))
}

// report logs when beating begins to fail and when it works again.
func (h *heart) report(err error) {
	switch log := h.publisher.log; {
	case err != nil && !h.failing:
		log.Warn("cannot renew the registration in Consul; trying again", "error", err)
	case err == nil && h.failing:
		log.Info("Consul reachable again; registration renewed")
	}
	h.failing = err != nil
}

// pause returns when to beat next. After a failure that is soon, since only a beat can tell that
// Consul is back and whether it has lost everything.
func (h *heart) pause(err error) time.Duration {
	if err == nil {
		h.failures = backoff{}
		return jitter(beatEvery(h.publisher.ttl))
	}
	return h.failures.next(min(beatEvery(h.publisher.ttl), 4*time.Second))
}

// beatEvery returns the pause between beats, before jitter: one may always be lost before the TTL
// ends, mostly two.
func beatEvery(ttl time.Duration) time.Duration { return ttl / 3 }

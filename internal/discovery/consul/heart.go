package consul

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// heart keeps what a process published alive: it sends signs of life for the process, and puts back what Consul lost.
type heart struct {
	publisher *publisher
	// process is the id of the process's service.
	process string
	note    string
	cancel  context.CancelFunc
	ended   chan struct{}
	// early asks for a look at once.
	early chan struct{}

	// The loop's own.
	lookAt   time.Time
	failures backoff
	failing  bool
}

func startHeart(p *publisher, process string) *heart {
	ctx, cancel := context.WithCancel(p.life)
	h := &heart{
		publisher: p, process: process, cancel: cancel, ended: make(chan struct{}), early: make(chan struct{}, 1),
		lookAt: time.Now().Add(jitter(p.lookEvery)),
		note:   fmt.Sprintf("%s, process %d, is alive", filepath.Base(os.Args[0]), os.Getpid()),
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
	exists, err := h.publisher.client.beat(ctx, checkID(h.process), h.note)
	if err != nil || exists && time.Now().Before(h.lookAt) {
		return err
	}
	if err := h.publisher.repair(ctx, !exists); err != nil {
		return err
	}
	h.lookAt = time.Now().Add(jitter(h.publisher.lookEvery))
	return nil
}

// report logs when beating begins to fail and when it works again.
func (h *heart) report(err error) {
	switch log := h.publisher.log; {
	case err != nil && !h.failing:
		log.Warn("what this process published cannot be kept alive in Consul; trying again", "error", err)
	case err == nil && h.failing:
		log.Info("what this process published is kept alive in Consul again")
	}
	h.failing = err != nil
}

// pause returns when to beat next. After a failure that is soon, since only a beat can tell that Consul is back and whether it
// has lost everything.
func (h *heart) pause(err error) time.Duration {
	if err == nil {
		h.failures = backoff{}
		return jitter(beatEvery(h.publisher.ttl))
	}
	return h.failures.next(min(beatEvery(h.publisher.ttl), 4*time.Second))
}

// beatEvery returns the pause between beats, before jitter: one may always be lost before the TTL ends, mostly two.
func beatEvery(ttl time.Duration) time.Duration { return ttl / 3 }

package consul

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Topics without their own query share two queries that wait for any change of Consul's catalog:
// one waits until a service is registered, changed or removed, the other until the set of critical
// checks changes. Then all these topics are read, one after the other.
const (
	servicesList = "/v1/catalog/services"
	criticalList = "/v1/health/state/critical"
)

const (
	// sweepPause is the minimum pause between two readings of all topics. The pause is also at
	// least sweepShare times as long as a reading took, so that a process with very many topics
	// does not keep Consul busy.
	sweepPause = time.Second
	sweepShare = 4
	// sweepAnyway is the interval at which the topics are read even if no change was reported.
	sweepAnyway = time.Minute
	// maxSweepers is how many topics are read at the same time.
	maxSweepers = 2
)

// share makes sure that runShared reads the topics without their own query. The caller must hold
// mu.
func (ts *topics) share() {
	if !ts.sharing {
		ts.sharing = true
		ts.work.Go(ts.runShared)
	}
	ts.tellShare()
}

// tellShare tells runShared that the set of topics without their own query may have changed.
func (ts *topics) tellShare() {
	select {
	case ts.news <- struct{}{}:
	default:
	}
}

// sweep is the state of runShared.
type sweep struct {
	// rounds is how many more times to read all topics. After a change it is two: the Consul server
	// that answers the first read may lag behind the server that reported the change.
	rounds   int
	next     time.Time // the earliest time of the next round
	anyway   time.Time // when to read all topics even without a change
	failures backoff
	// woken is closed when an attempt after a failure should be made at once; see agents.
	woken <-chan struct{}
}

// runShared reads the topics without their own query until there are none.
func (ts *topics) runShared() {
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan struct{}, 1)
	var detectors sync.WaitGroup
	defer detectors.Wait()
	for _, list := range []string{servicesList, criticalList} {
		detectors.Go(func() { ts.client.detect(ctx, list, changes) })
	}
	defer cancel() // before the detectors are waited for
	s := &sweep{anyway: time.Now().Add(jitter(sweepAnyway))}
	for {
		all, fresh := ts.shared()
		if len(all) == 0 {
			return
		}
		now := time.Now()
		if now.After(s.anyway) {
			s.rounds = max(s.rounds, 1)
		}
		if s.rounds > 0 && !now.Before(s.next) {
			ts.sweepAll(ctx, s, all)
		} else if err := sweepSome(ctx, fresh); err != nil {
			s.rounds, s.next = max(s.rounds, 1), time.Now().Add(s.failures.next(maxPause(err)))
		}
		s.wait(ts.news, changes)
	}
}

// sweepAll reads all topics, and sets when to read them again.
func (ts *topics) sweepAll(ctx context.Context, s *sweep, all []*topic) {
	start := time.Now()
	_, s.woken = ts.client.agents.at()
	err := sweepSome(ctx, all)
	pause := jitter(max(sweepPause, sweepShare*time.Since(start)))
	s.anyway = start.Add(jitter(sweepAnyway))
	if err != nil {
		pause = s.failures.next(maxPause(err))
	} else {
		s.rounds--
		s.failures, s.woken = backoff{}, nil
	}
	s.next = time.Now().Add(pause)
}

// wait returns when topics are due, when one of the channels reports something, or when an agent
// works again.
func (s *sweep) wait(news, changes <-chan struct{}) {
	until := s.anyway
	if s.rounds > 0 {
		until = s.next
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-news:
	case <-changes:
		s.rounds = 2
	case <-s.woken:
		s.next, s.woken = time.Time{}, nil
	}
}

// shared returns the topics without their own query, and which of them were never read. First it
// gives as many topics as possible their own query. If it returns no topic, runShared must end.
func (ts *topics) shared() (all, fresh []*topic) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.most < maxPolls && time.Since(ts.crowdedAt) > growEvery {
		ts.most++
		ts.crowdedAt = time.Now()
	}
	for _, t := range ts.open {
		switch {
		case ts.closed || t.life.Err() != nil || t.stop != nil:
		case ts.polls < ts.most:
			ts.startPoll(t)
		default:
			all = append(all, t)
			if !t.asked {
				fresh = append(fresh, t)
			}
		}
	}
	ts.sharing = len(all) > 0
	return all, fresh
}

// sweepSome reads topics. It stops at an error that is not about a single topic, and reports that
// error to the remaining topics.
func sweepSome(ctx context.Context, list []*topic) error {
	work := make(chan *topic)
	failures := make(chan error, len(list))
	var readers sync.WaitGroup
	for range min(maxSweepers, len(list)) {
		readers.Go(func() {
			for t := range work {
				if err := t.readWhileOpen(ctx); err != nil {
					failures <- err
				}
			}
		})
	}
	var last error
	for _, t := range list {
		if last == nil || errors.Is(last, errHidden) || code(last) == http.StatusForbidden {
			work <- t
		} else {
			agent, _ := t.of.client.agents.at()
			t.failed(t.of.client.failure(ctx, "reading service "+t.service, errors.Unwrap(last)), agent)
		}
		select {
		case last = <-failures:
		default:
		}
	}
	close(work)
	readers.Wait()
	select {
	case last = <-failures:
	default:
	}
	return last
}

// readWhileOpen is read, but ends when the topic has no more watches.
func (t *topic) readWhileOpen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.life, cancel)() //nolint:contextcheck // It adds to the caller's.
	return t.read(ctx)
}

// detect reports changes of a list until ctx ends. After a failed query it reports a change, since
// there may have been one.
func (c *client) detect(ctx context.Context, list string, changes chan<- struct{}) {
	var at cursor
	var failures backoff
	for ctx.Err() == nil {
		_, woken := c.agents.at()
		index, err := c.moved(ctx, list, at.next)
		if ctx.Err() != nil {
			return
		}
		news := true
		if err != nil {
			at.fail()
		} else {
			failures = backoff{}
			news, _ = at.advance(index)
		}
		if news {
			select {
			case changes <- struct{}{}:
			default:
			}
		}
		if err != nil {
			sleep(ctx, failures.next(2*time.Second), woken)
		} else {
			sleep(ctx, jitter(detectPause), nil)
		}
	}
}

// detectPause is the pause between two queries. In a large fleet, something changes all the time.
const detectPause = 250 * time.Millisecond

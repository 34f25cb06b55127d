package consul

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// maxPolls is how many topics have a query of their own. Each takes one of the connections that
// Consul allows all programs of a host together, 200 by default; the other topics share.
const maxPolls = 32

// growEvery is how long after connections were short one more topic gets a query of its own.
const growEvery = 5 * time.Minute

// topics is the topics that are watched.
type topics struct {
	client *client
	log    *slog.Logger
	work   sync.WaitGroup

	mu   sync.Mutex
	open map[registry.Topic]*topic
	// polls counts the topics with a query of their own, of which there may be most.
	polls, most int
	// crowdedAt is when connections were last short.
	crowdedAt time.Time
	// sharing is true while share runs, for the topics without a query of their own; news tells it
	// of those.
	sharing bool
	news    chan struct{}
	// endGuard ends the guard, which runs while there is a topic.
	endGuard context.CancelFunc
	closed   bool
}

func newTopics(c *client, log *slog.Logger) *topics {
	return &topics{client: c, log: log, open: map[registry.Topic]*topic{}, most: maxPolls, news: make(chan struct{}, 1)}
}

// join adds a watch to its topic.
func (ts *topics) join(name registry.Topic, w *registry.Watch) (leave func()) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		w.Stop()
		return func() {}
	}
	t := ts.open[name]
	if t == nil {
		t = ts.start(name)
	}
	t.add(w)
	return func() { ts.leave(t, w) }
}

func (ts *topics) start(name registry.Topic) *topic {
	if len(ts.open) == 0 {
		var ctx context.Context
		ctx, ts.endGuard = context.WithCancel(context.Background())
		ts.work.Go(func() { ts.client.guard.run(ctx) })
	}
	t := &topic{of: ts, name: name, service: serviceName(name), watches: map[*registry.Watch]struct{}{}}
	t.life, t.cancel = context.WithCancel(context.Background())
	ts.open[name] = t
	if ts.polls < ts.most {
		ts.startPoll(t)
	} else {
		ts.share()
	}
	return t
}

// startPoll gives a topic a query of its own. Call it with mu held.
func (ts *topics) startPoll(t *topic) {
	var ctx context.Context
	ctx, t.stop = context.WithCancel(t.life)
	ts.polls++
	ts.work.Go(func() {
		t.poll(ctx)
		ts.mu.Lock()
		defer ts.mu.Unlock()
		t.stop()
		t.stop = nil
		ts.polls--
		if t.life.Err() == nil {
			ts.share()
		}
	})
}

// crowded has fewer topics keep a query of their own, since the agent refused a connection. Many
// are refused at the same time, so it counts once in a while.
func (ts *topics) crowded() {
	if own, all, is := ts.shareMore(); is {
		ts.log.Warn("the agent of Consul has no connection left for this host; more topics share one", "own", own, "topics", all)
	}
}

// shareMore halves how many topics have a query of their own, unless that was done just now. It
// returns how many these are, of how many.
func (ts *topics) shareMore() (own, all int, done bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	now := time.Now()
	if now.Sub(ts.crowdedAt) < answerWithin {
		return 0, 0, false
	}
	ts.crowdedAt = now
	ts.most = ts.polls / 2
	excess := ts.polls - ts.most
	for _, t := range ts.open {
		if excess > 0 && t.stop != nil {
			t.stop()
			excess--
		}
	}
	return ts.most, len(ts.open), true
}

// leave removes a watch; without watches a topic is asked for no longer.
func (ts *topics) leave(t *topic, w *registry.Watch) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(t.watches, w)
	if len(t.watches) == 0 && ts.open[t.name] == t {
		delete(ts.open, t.name)
		t.cancel()
		ts.tellShare()
		if len(ts.open) == 0 {
			ts.endGuard()
		}
	}
}

// close ends all watches.
func (ts *topics) close() {
	ts.mu.Lock()
	ts.closed = true
	if len(ts.open) > 0 {
		ts.endGuard()
	}
	ts.tellShare()
	var ending []*registry.Watch
	for _, t := range ts.open {
		t.cancel()
		for w := range t.watches {
			ending = append(ending, w)
		}
	}
	ts.mu.Unlock()
	ts.work.Wait()
	for _, w := range ending {
		w.Stop()
	}
}

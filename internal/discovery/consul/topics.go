package consul

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// maxPolls is the maximum number of topics with their own query. Each query uses one of the
// connections that Consul allows all programs of a host together, 200 by default. The other topics
// share queries.
const maxPolls = 32

// growEvery is the time after a shortage of connections until one more topic gets its own query.
const growEvery = 5 * time.Minute

// topics are the watched topics.
type topics struct {
	client *client
	log    *slog.Logger
	work   sync.WaitGroup

	mu   sync.Mutex
	open map[registry.Topic]*topic
	// polls counts the topics with their own query. Most is the current maximum.
	polls, most int
	// crowdedAt is when the agent last refused a connection, or when one more topic was last
	// allowed its own query.
	crowdedAt time.Time
	// sharing is true while runShared runs, which reads the topics without their own query. News
	// tells runShared that the set of these topics may have changed.
	sharing bool
	news    chan struct{}
	// endGuard ends the guard, which runs while any topic is watched.
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

// startPoll gives a topic its own query. The caller must hold mu.
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

// crowded lets fewer topics keep their own query, since the agent refused a connection. Many
// queries are refused at the same time, so only the first refusal of a short period counts.
func (ts *topics) crowded() {
	if own, all, is := ts.shareMore(); is {
		ts.log.Warn("the agent of Consul has no connection left for this host; more topics share one", "own", own, "topics", all)
	}
}

// shareMore halves the number of topics with their own query, unless it did so just now. It returns
// how many keep their own, and how many topics there are.
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

// leave removes a watch. A topic without watches is no longer read.
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

package consul

import (
	"context"
	"log/slog"
	"sync"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/discovery/watch"
)

// topics is the topics that are watched.
type topics struct {
	client *client
	log    *slog.Logger
	polls  sync.WaitGroup

	mu     sync.Mutex
	open   map[discovery.Topic]*topic
	closed bool
}

func newTopics(c *client, log *slog.Logger) *topics {
	return &topics{client: c, log: log, open: map[discovery.Topic]*topic{}}
}

// join adds a watch to its topic.
func (ts *topics) join(name discovery.Topic, w *watch.Watch) (leave func()) {
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

func (ts *topics) start(name discovery.Topic) *topic {
	ctx, cancel := context.WithCancel(context.Background())
	t := &topic{of: ts, name: name, cancel: cancel, watches: map[*watch.Watch]struct{}{}}
	ts.open[name] = t
	ts.polls.Go(func() { t.poll(ctx) })
	return t
}

// leave removes a watch; without watches a topic is asked for no longer.
func (ts *topics) leave(t *topic, w *watch.Watch) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(t.watches, w)
	if len(t.watches) == 0 && ts.open[t.name] == t {
		delete(ts.open, t.name)
		t.cancel()
	}
}

// close ends all watches.
func (ts *topics) close() {
	ts.mu.Lock()
	ts.closed = true
	var ending []*watch.Watch
	for _, t := range ts.open {
		t.cancel()
		for w := range t.watches {
			ending = append(ending, w)
		}
	}
	ts.mu.Unlock()
	ts.polls.Wait()
	for _, w := range ending {
		w.Stop()
	}
}

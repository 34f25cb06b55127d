package consul

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/discovery/watch"
)

// topic is the one query that all watches of a topic share.
type topic struct {
	of     *topics
	name   discovery.Topic
	cancel context.CancelFunc

	// Guarded by of.mu.
	watches map[*watch.Watch]struct{}
	// known is the last list, nil before the first.
	known *discovery.Update
	// err is the error that there was since.
	err error

	// broken are the services of the last list that cannot be understood. Only poll uses it.
	broken map[string]error
}

// poll keeps asking until ctx ends.
func (t *topic) poll(ctx context.Context) {
	var at cursor
	var failures backoff
	service := serviceName(t.name)
	for ctx.Err() == nil {
		entries, index, err := t.of.client.changed(ctx, service, at.next)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			at.fail()
			t.tell(discovery.Update{Err: err})
			sleep(ctx, failures.next(maxPause(err)), nil)
			continue
		}
		failures = backoff{}
		if news, lost := at.advance(index); news {
			t.tell(discovery.Update{Instances: t.read(entries), Reset: lost})
		}
		sleep(ctx, pace(len(entries)), nil)
	}
}

// maxPause is how long to wait at most before asking again. An agent that is being restarted is back soon, and refusing a
// connection costs nothing.
func maxPause(err error) time.Duration {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 2 * time.Second
	}
	return 30 * time.Second
}

// pace is the pause between two lists. A large fleet that is being restarted changes all the time, and each change has the whole
// list sent to every watching process.
func pace(length int) time.Duration { return jitter(meanPace(length)) }

func meanPace(length int) time.Duration {
	return min(125*time.Millisecond+time.Duration(length)*time.Millisecond, 5*time.Second)
}

// Lag implements [discovery.Polled]: who has just begun to pause asks after the longest pause, and needs as long again at most for the
// answer, which comes at once.
func (r *Registry) Lag(instances int) time.Duration { return 2 * meanPace(instances) }

// read returns the instances on the topic. It warns of a service that it cannot understand when it first sees it.
func (t *topic) read(entries []*api.ServiceEntry) []discovery.Instance {
	list, broken := instances(entries, func(on discovery.Topic) bool { return on == t.name })
	for id, err := range broken {
		if t.broken[id] == nil {
			warnBroken(t.of.log, id, err)
		}
	}
	t.broken = broken
	return list
}

// warnBroken tells of a service that gets no messages until somebody mends it, so it is an error even if this program goes on.
func warnBroken(log *slog.Logger, id string, err error) {
	log.Error("skipping a service in Consul that is named like one of ours", "service", id, "error", err)
}

func (t *topic) tell(u discovery.Update) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.err = u.Err
	if u.Err == nil {
		t.known = &discovery.Update{Instances: u.Instances}
	}
	for w := range t.watches {
		w.Send(u)
	}
}

// add adds a watch and tells it what is known. Where there is a list it gets that, even if Consul does not answer now; the error
// follows with the next attempt. Call it with of.mu held.
func (t *topic) add(w *watch.Watch) {
	t.watches[w] = struct{}{}
	switch {
	case t.known != nil:
		w.Send(*t.known)
	case t.err != nil:
		w.Send(discovery.Update{Err: t.err})
	}
}

package consul

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// topic is a watched topic. All its watches share one query.
type topic struct {
	of      *topics
	name    registry.Topic
	service string
	// life ends when the last watch stops.
	life   context.Context //nolint:containedctx // It is the topic's own.
	cancel context.CancelFunc

	// The following fields are guarded by of.mu.
	watches map[*registry.Watch]struct{}
	// known is the last list, nil before the first.
	known *registry.Update
	// err is the last error, unless a list came after it.
	err error
	// stop ends poll. It is nil if the topic does not have its own query.
	stop context.CancelFunc

	// The following fields belong to the goroutine that reads the topic: poll, or a reader of
	// runShared.
	at       cursor
	failures backoff
	// moves counts how often another agent was selected since the last answer.
	moves int
	// asked is true once the topic was read, or reading it failed.
	asked bool
	// broken are the services of the last list that could not be used, and why, by their ids.
	broken map[string]error
}

// poll repeats the topic's waiting query until ctx ends, or until the agent refuses the connection
// because the host has too many.
func (t *topic) poll(ctx context.Context) {
	for ctx.Err() == nil {
		agent, woken := t.of.client.agents.at()
		entries, index, err := t.of.client.changed(ctx, t.service, t.at.next)
		switch {
		case ctx.Err() != nil:
			return
		case code(err) == http.StatusTooManyRequests:
			t.of.crowded()
			return
		case err != nil:
			if t.failed(err, agent) {
				sleep(ctx, t.failures.next(maxPause(err)), woken)
			}
		default:
			t.took(entries, index)
			sleep(ctx, pace(len(entries)), nil)
		}
	}
}

// read reads a topic without its own query once. It returns no error if ctx ended.
func (t *topic) read(ctx context.Context) error {
	for {
		agent, _ := t.of.client.agents.at()
		entries, index, err := t.of.client.services(ctx, t.service, true)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Nothing is wrong with Consul.
		case err == nil:
			t.took(entries, index)
			return nil
		case t.failed(err, agent):
			return err
		}
	}
}

// took handles an answer: it sends the list to the watches if the list may have changed.
func (t *topic) took(entries []*api.ServiceEntry, index uint64) {
	t.failures, t.moves, t.asked = backoff{}, 0, true
	if news, lost := t.at.advance(index); news {
		t.tell(registry.Update{Instances: t.understand(entries), Reset: lost})
	}
}

// failed handles an error: it sends the error to the watches and returns true, unless another agent
// was selected that was not tried since the last answer.
func (t *topic) failed(err error, agent int) (told bool) {
	t.at.fail()
	agents := t.of.client.agents
	if now, _ := agents.at(); now != agent && t.moves+1 < len(agents.addrs) {
		t.moves++
		return false
	}
	t.moves, t.asked = 0, true
	t.tell(registry.Update{Err: err})
	return true
}

// maxPause returns the maximum pause before the next attempt. An agent that is being restarted is
// back soon, and refused connections cost little.
func maxPause(err error) time.Duration {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 2 * time.Second
	}
	return 30 * time.Second
}

// pace returns the pause after a list of the given length. While a large fleet restarts, its list
// changes all the time, and without pauses each change would send the whole list to every watching
// process.
func pace(length int) time.Duration { return jitter(meanPace(length)) }

func meanPace(length int) time.Duration {
	return min(125*time.Millisecond+time.Duration(length)*time.Millisecond, 5*time.Second)
}

// Lag implements [registry.Polled]. In the worst case a watch has just begun its longest pause, and
// the next answer takes as long again. Topics that share a query, in processes that watch very
// many, may lag more.
func (r *Registry) Lag(instances int) time.Duration { return 2 * meanPace(instances) }

// understand returns the instances in a list of services. It logs services that cannot be used when
// they first appear.
func (t *topic) understand(entries []*api.ServiceEntry) []rpc.Instance {
	list, broken := instances(entries, t.service)
	warnBroken(t.of.log, t.service, broken, t.broken)
	t.broken = broken
	return list
}

// warnBroken logs that services of a name get no messages until an operator repairs them, unless
// all of them are known already. It logs one line for each name, however many services there are.
// The level is error, although this program continues.
func warnBroken(log *slog.Logger, name string, broken, before map[string]error) {
	var example string
	count := 0
	for id := range broken {
		if before[id] == nil {
			count++
			example = max(example, id)
		}
	}
	if count > 0 {
		log.Error("skipping services in Consul that have a name of oslorpc but cannot be used",
			"name", name, "services", count, "example", example, "error", broken[example])
	}
}

func (t *topic) tell(u registry.Update) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.err = u.Err
	if u.Err == nil {
		t.known = &registry.Update{Instances: u.Instances}
	}
	for w := range t.watches {
		w.Send(u)
	}
}

// add adds a watch and sends it the last list, or else the last error. It sends the list even if
// Consul does not answer now, because the next attempt sends the error. The caller must hold of.mu.
func (t *topic) add(w *registry.Watch) {
	t.watches[w] = struct{}{}
	switch {
	case t.known != nil:
		w.Send(*t.known)
	case t.err != nil:
		w.Send(registry.Update{Err: t.err})
	}
}

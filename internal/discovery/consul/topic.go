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

// topic is the one query that all watches of a topic share.
type topic struct {
	of      *topics
	name    registry.Topic
	service string
	// life ends with the last watch.
	life   context.Context //nolint:containedctx // It is the topic's own.
	cancel context.CancelFunc

	// Guarded by of.mu.
	watches map[*registry.Watch]struct{}
	// known is the last list, nil before the first.
	known *registry.Update
	// err is the error that there was since.
	err error
	// stop ends poll; nil if the topic has no query of its own.
	stop context.CancelFunc

	// What follows is for poll, or, without a query of its own, for whatever reads the topic.
	at       cursor
	failures backoff
	// moves counts the agents that were left since there was an answer.
	moves int
	// asked is true if the topic was read, or could not be.
	asked bool
	// broken are the services of the last list that cannot be understood.
	broken map[string]error
}

// poll keeps asking until ctx ends, or until the agent has no connection left.
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

// read asks once, for a topic without a query of its own. The end of ctx is no error.
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

// took tells of a list if it may be news.
func (t *topic) took(entries []*api.ServiceEntry, index uint64) {
	t.failures, t.moves, t.asked = backoff{}, 0, true
	if news, lost := t.at.advance(index); news {
		t.tell(registry.Update{Instances: t.understand(entries), Reset: lost})
	}
}

// failed tells of an error, unless another agent can be asked at once, which was not tried yet. It
// reports whether it told.
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

// maxPause is how long to wait at most before asking again. An agent that is being restarted is
// back soon, and refusing a connection costs nothing.
func maxPause(err error) time.Duration {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 2 * time.Second
	}
	return 30 * time.Second
}

// pace is the pause between two lists. A large fleet that is being restarted changes all the time,
// and each change has the whole list sent to every watching process.
func pace(length int) time.Duration { return jitter(meanPace(length)) }

func meanPace(length int) time.Duration {
	return min(125*time.Millisecond+time.Duration(length)*time.Millisecond, 5*time.Second)
}

// Lag implements [registry.Polled]: a watch that has just begun to pause asks after the longest
// pause, and needs as long again at most for the answer, which comes at once. A process that
// watches so many topics that some share a query needs longer for those.
func (r *Registry) Lag(instances int) time.Duration { return 2 * meanPace(instances) }

// understand returns the instances on the topic. It warns of services that it cannot use when it
// first sees them.
func (t *topic) understand(entries []*api.ServiceEntry) []rpc.Instance {
	list, broken := instances(entries, t.service)
	warnBroken(t.of.log, t.service, broken, t.broken)
	t.broken = broken
	return list
}

// warnBroken logs that services of a name get no messages until an operator repairs them, unless
// all are known from before. It logs one line for each name, however many services there are. That
// is an error, although this program goes on.
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

// add adds a watch and tells it what is known. Where there is a list it gets that, even if Consul
// does not answer now; the error follows with the next attempt. Call it with of.mu held.
func (t *topic) add(w *registry.Watch) {
	t.watches[w] = struct{}{}
	switch {
	case t.known != nil:
		w.Send(*t.known)
	case t.err != nil:
		w.Send(registry.Update{Err: t.err})
	}
}

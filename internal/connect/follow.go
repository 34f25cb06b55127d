package connect

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const (
	// firstPause and maxPause bound the pauses between attempts while the agent does not answer.
	firstPause, maxPause = 250 * time.Millisecond, 10 * time.Second
	// servedTime is the interval of queries for the certificates of served topics. The agent
	// answers them at once, with a new certificate after the authority changed.
	servedTime = 5 * time.Second
)

// These are the queries to the agent, as keys of n.faults.
const (
	askedRoots = "authorities"
	askedOwn   = "certificate"
	askedTopic = "certificates of topics"
)

// followRoots keeps the authorities up to date.
func (n *Native) followRoots(ctx context.Context) {
	n.follow(ctx, askedRoots, func(index uint64) (uint64, error) {
		roots, next, err := n.config.Agent.Roots(ctx, index)
		if err != nil {
			return 0, err
		}
		parsed, err := roots.parse()
		if err != nil {
			return 0, err
		}
		n.update(func() { n.authors = parsed })
		return next, nil
	})
}

// followOwn keeps the certificate of the process's own service up to date.
func (n *Native) followOwn(ctx context.Context) {
	n.follow(ctx, askedOwn, func(index uint64) (uint64, error) {
		leaf, next, err := n.config.Agent.Leaf(ctx, n.config.Service, index)
		if err != nil {
			return 0, err
		}
		certificate, err := leaf.parse()
		if err != nil {
			return 0, err
		}
		n.update(func() { n.own = certificate })
		return next, nil
	})
}

// followServed queries the certificates of served topics regularly. Waiting queries would need a
// connection for each.
func (n *Native) followServed(ctx context.Context) {
	for sleep(ctx, jittered(servedTime)) {
		n.mu.Lock()
		topics := n.topics
		n.mu.Unlock()
		for _, t := range topics {
			service := n.config.ServiceName(t)
			n.mu.Lock()
			before := n.served[service]
			n.mu.Unlock()
			if before == nil {
				continue
			}
			now, err := n.ask(ctx, service, before)
			if ctx.Err() != nil {
				return
			}
			n.note(askedTopic, err)
			n.mu.Lock()
			if err == nil && n.served[service] == before {
				n.served[service] = now
			}
			n.mu.Unlock()
		}
	}
}

// follow queries again and again, each time for a newer result, until ctx ends.
func (n *Native) follow(ctx context.Context, what string, ask func(index uint64) (uint64, error)) {
	pause, index := firstPause, uint64(0)
	for ctx.Err() == nil {
		next, err := ask(index)
		if ctx.Err() != nil {
			return
		}
		n.note(what, err)
		if err != nil {
			index = 0
			sleep(ctx, jittered(pause))
			pause = min(2*pause, maxPause)
			continue
		}
		pause = firstPause
		if next < index { // the agent lost its data
			next = 0
		}
		if next == 0 || next == index { // it answered without waiting, or has nothing new
			sleep(ctx, jittered(firstPause))
		}
		index = next
	}
}

// update changes the state that the agent provides, and the material for new connections.
func (n *Native) update(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	authors, own := n.authors, n.own
	change()
	if n.authors == nil || n.own == nil || authors.same(n.authors) && own != nil && own.Leaf.Equal(n.own.Leaf) {
		return
	}
	if own == nil || !own.Leaf.Equal(n.own.Leaf) {
		n.config.Log.Info("the Consul agent gave a certificate", "service", n.config.Service, "expires", n.own.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	n.material.Store(&trust.Material{Certificate: n.own, Verify: n.authors.verify})
	n.tell()
}

// note handles the result of a query. It logs a fault once.
func (n *Native) note(what string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		if n.said[what] != "" {
			n.config.Log.Info("the Consul agent gives the "+what+" again", "service", n.config.Service)
		}
		delete(n.faults, what)
		delete(n.said, what)
		return
	}
	n.faults[what] = err
	n.tell()
	if text := err.Error(); n.said[what] != text {
		n.said[what] = text
		n.config.Log.Error("the Consul agent does not give the "+what+"; what it gave before stays in use", "service", n.config.Service, "error", err)
	}
}

// tell wakes the waiting goroutines after a change. The lock is held.
func (n *Native) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// fault returns why the certificate or the authorities are missing, or nil if that is not known.
// The lock is held.
func (n *Native) fault() error { return errors.Join(n.faults[askedOwn], n.faults[askedRoots]) }

// refused returns the agent's refusal, or nil if it did not refuse. The lock is held.
func (n *Native) refused() error {
	for _, what := range []string{askedRoots, askedOwn} {
		if err := n.faults[what]; errors.Is(err, rpc.Invalid) {
			return err
		}
	}
	return nil
}

// sleep sleeps for a time. It returns false if ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jittered returns d, shortened by up to a quarter, so that processes that started together do not
// act in step.
func jittered(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

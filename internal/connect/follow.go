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
	// answers these queries at once. After the authority changed, it answers with a new
	// certificate.
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

// followServed queries the certificates of served topics regularly. It does not use blocking
// queries, since each would need its own connection.
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

// follow repeats a blocking query until ctx ends. Ask makes the query with the index of the
// previous result, and returns the new index.
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
		if next == 0 || next == index { // the next query may not block, or the result is not new
			sleep(ctx, jittered(firstPause))
		}
		index = next
	}
}

// update changes the authorities or the own certificate. If something changed and both are known,
// it updates the material for new connections.
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

// note records the result of a query. It logs an error when it first occurs, and the recovery.
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
		n.config.Log.Error("the Consul agent does not give the "+what+"; the last known value stays in use", "service", n.config.Service, "error", err)
	}
}

// tell wakes the waiting goroutines after a change. The lock is held.
func (n *Native) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// fault returns the errors of the last queries for the own certificate and the authorities, or nil
// if neither failed. The lock is held.
func (n *Native) fault() error { return errors.Join(n.faults[askedOwn], n.faults[askedRoots]) }

// refused returns the error with which the agent refused a query for the own certificate or the
// authorities, or nil. The lock is held.
func (n *Native) refused() error {
	for _, what := range []string{askedRoots, askedOwn} {
		if err := n.faults[what]; errors.Is(err, rpc.Invalid) {
			return err
		}
	}
	return nil
}

// sleep waits for d. It returns false if ctx ends first.
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

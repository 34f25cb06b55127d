package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// pause is the time between two pairs of calls of a hub.
const pause = 10 * time.Millisecond

// churned restarts agents for a while, while the hubs continue to call.
func (s *simulation) churned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.time)
	defer cancel()
	var calls, restarts atomic.Int64
	errs := make([]error, len(s.hubs)+1)
	var running sync.WaitGroup
	for i, hub := range s.hubs {
		running.Go(func() { errs[i] = s.call(ctx, hub, &calls) })
	}
	running.Go(func() { errs[len(s.hubs)] = s.restartAgents(ctx, &restarts) })
	running.Wait()
	fmt.Fprintf(s.out, "  %d agents restarted, and %d calls were answered\n", restarts.Load(), calls.Load())
	return errors.Join(errs...)
}

// call makes a hub call agents until ctx ends: any agent, and by name an agent that does not
// restart. No call may fail.
func (s *simulation) call(ctx context.Context, hub *node, calls *atomic.Int64) error {
	life := context.WithoutCancel(ctx)
	for tick := time.NewTicker(pause); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		if _, err := oslorpc.Call[any](life, hub.client, method, nil); err != nil {
			return err
		}
		calls.Add(1)
		agent := s.agents[rand.IntN(len(s.agents))]
		if !agent.mu.TryLock() { // it is restarting
			continue
		}
		_, err := oslorpc.Call[any](life, hub.client.Prepare(oslorpc.WithServer(agent.name)), method, nil)
		agent.mu.Unlock()
		if err != nil {
			return err
		}
		calls.Add(1)
	}
}

// restartAgents restarts a fraction of the agents each second until ctx ends.
func (s *simulation) restartAgents(ctx context.Context, restarts *atomic.Int64) error {
	rate := s.churn * float64(len(s.agents))
	if rate == 0 {
		return nil
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for tick := time.NewTicker(max(1, time.Duration(float64(time.Second)/rate))); ; {
		select {
		case <-ctx.Done():
		case <-life.Done():
		case <-tick.C:
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				if err := s.restart(life, s.agents[rand.IntN(len(s.agents))]); err != nil {
					cancel(err)
				}
				restarts.Add(1)
			})
			continue
		}
		tick.Stop()
		running.Wait()
		err := context.Cause(life)
		cancel(nil)
		return err
	}
}

// restart restarts an agent, which then reports to a hub.
func (s *simulation) restart(ctx context.Context, n *node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.transport.Shutdown(ctx); err != nil {
		return err
	}
	if err := s.begin(ctx, n, agentTopic, hubTopic); err != nil {
		return err
	}
	return n.client.Cast(ctx, method, nil)
}

package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// probeEvery is the interval of probes, which check that the agent answers.
	probeEvery = 2 * time.Second
	// probeDown is the interval for an agent that refuses connections. Such attempts are cheap, and
	// soon show that the agent is back.
	probeDown = time.Second
	// silence is how long a probe may be unanswered until the agent counts as hung. Even a slow
	// agent answers within a tenth of that time.
	silence = 2 * time.Second
	// probeWithin bounds a probe. It is longer than silence, so that the answer shows when a hung
	// agent continues.
	probeWithin = 30 * time.Second
)

var errHung = fmt.Errorf("the agent hangs: it takes connections, and answered nothing for %s", silence)

// guard detects hung agents. A query that waits for changes may be unanswered for minutes, so it
// does not show that. Guard sends a probe instead: it asks who leads the cluster. The agent passes
// that question on to a Consul server, so any answer shows that both work.
type guard struct {
	agents *agents
	base   http.RoundTripper
	scheme string
}

// run probes the current agent regularly until ctx ends.
func (g *guard) run(ctx context.Context) {
	down := false
	for ctx.Err() == nil {
		n, _ := g.agents.at()
		switch err := g.probe(ctx, n); {
		case err == nil:
			if down {
				g.agents.wake()
			}
			down = false
			sleep(ctx, jitter(probeEvery), nil)
		case ctx.Err() != nil:
		case errors.Is(err, errHung):
			down = true
		default:
			down = true
			g.agents.leave(n)
			sleep(ctx, jitter(probeDown), nil)
		}
	}
}

// probe returns nil when agent n has answered, even if late. If there is no answer within silence,
// probe calls hangs, and returns errHung if another agent was selected then.
func (g *guard) probe(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- g.ask(ctx, g.agents.addrs[n]) }()
	// Wait in two halves: if this process was suspended, the answer has arrived and needs a moment
	// to be read.
	for range 2 {
		half := time.NewTimer(silence / 2)
		select {
		case err := <-answer:
			half.Stop()
			return err
		case <-half.C:
		}
	}
	g.agents.hangs(n)
	if now, _ := g.agents.at(); now != n {
		return errHung
	}
	err := <-answer
	if err == nil {
		g.agents.wake()
	}
	return err
}

// ask sends a probe to an agent. It returns nil for any answer.
func (g *guard) ask(ctx context.Context, addr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.scheme+"://"+addr+"/v1/status/leader", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := g.base.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	drain(answer.Body)
	return nil
}

package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// probeEvery is how often to check that the agent answers while queries wait there.
	probeEvery = 2 * time.Second
	// probeDown is the same for an agent that refuses connections. An attempt is cheap, and shows
	// soon when the agent is back.
	probeDown = time.Second
	// silence is how long a cheap request may go without an answer. A slow agent answers within a
	// tenth of it.
	silence = 2 * time.Second
	// probeWithin bounds a probe. It is long, so that the probe shows when an agent that hung
	// continues.
	probeWithin = 30 * time.Second
)

var errHung = fmt.Errorf("the agent hangs: it takes connections, and answered nothing for %s", silence)

// guard notices that an agent hangs. A query that waits for changes may be silent for minutes, so
// guard asks another question: who leads the cluster. The agent asks a server for that, so any
// answer shows that both work.
type guard struct {
	agents *agents
	base   http.RoundTripper
	scheme string
}

// run watches the current agent until ctx ends.
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

// probe returns nil once the agent has answered, even if late. When the agent hangs, probe reports
// that at once, and returns errHung if there is another agent.
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

// ask returns an error if there is no answer.
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

package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// agents selects one of several agents for requests: the last agent that answered, or the next one
// if that agent is unreachable.
type agents struct {
	addrs []string

	mu      sync.Mutex
	current int // the index of the selected agent
	// pinned is true while requests must go to the current agent: registrations, and the checks
	// that keep them alive, belong to one agent.
	pinned bool
	// stay ends with the cause errHung when another agent is selected, or when the current agent
	// hangs.
	stay context.Context //nolint:containedctx // It is a signal with a cause.
	end  context.CancelCauseFunc
	// woken is closed when an agent works again, so that callers that pause after a failure should
	// try at once.
	woken chan struct{}
}

func newAgents(addrs []string) *agents {
	a := &agents{addrs: addrs, woken: make(chan struct{})}
	a.stay, a.end = context.WithCancelCause(context.Background())
	return a
}

// pin makes all requests go to the agent that last answered, until unpin.
func (a *agents) pin()   { a.setPinned(true) }
func (a *agents) unpin() { a.setPinned(false) }

func (a *agents) setPinned(pinned bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pinned = pinned
}

// candidates returns the agent to ask first, and how many to try, beginning with that one.
func (a *agents) candidates() (first, count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pinned {
		return a.current, 1
	}
	return a.current, len(a.addrs)
}

// at returns the index of the selected agent, and a channel that is closed when callers that pause
// after a failure should try again at once.
func (a *agents) at() (current int, woken <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, a.woken
}

// leave selects the next agent, if there is one and no other caller has left agent n already.
// Queries that wait at the old agent end.
func (a *agents) leave(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == n && !a.pinned && len(a.addrs) > 1 {
		a.current = (n + 1) % len(a.addrs)
		a.interrupt()
	}
}

// hangs is leave for an agent that is known to hang. Queries that wait there end even if there is
// no other agent.
func (a *agents) hangs(n int) {
	a.leave(n)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == n {
		a.interrupt()
	}
}

func (a *agents) interrupt() {
	a.end(errHung)
	a.stay, a.end = context.WithCancelCause(context.Background())
}

// wake makes callers that pause after a failure try again.
func (a *agents) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.woken)
	a.woken = make(chan struct{})
}

// whileHere returns a context that ends with the cause errHung when another agent is selected, or
// when the current agent hangs.
func (a *agents) whileHere(ctx context.Context) (context.Context, context.CancelFunc) {
	a.mu.Lock()
	stay := a.stay
	a.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(stay, func() { cancel(errHung) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// through returns a transport that sends requests to the agents over base.
func (a *agents) through(base http.RoundTripper) http.RoundTripper { return router{a, base} }

// router sends requests to the agents. It does not send a request to a second agent if the first
// may have received it.
type router struct {
	agents *agents
	base   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (r router) RoundTrip(request *http.Request) (answer *http.Response, err error) {
	a := r.agents
	first, count := a.candidates()
	for i := range count {
		n := (first + i) % len(a.addrs)
		to, bodyErr := addressed(request, a.addrs[n])
		if bodyErr != nil {
			return nil, bodyErr
		}
		answer, err = r.base.RoundTrip(to)
		if err == nil {
			return answer, nil
		}
		if silent(request.Context()) || notConnected(err) {
			a.leave(n)
		}
		if request.Context().Err() != nil || !notConnected(err) {
			return nil, err
		}
	}
	return nil, err
}

// addressed returns the request for this agent. A RoundTripper must not change its request, and it
// closes the body even if it did not connect, so each attempt needs a copy.
func addressed(request *http.Request, addr string) (*http.Request, error) {
	to := request.Clone(request.Context())
	to.URL.Host, to.Host = addr, addr
	if request.GetBody == nil {
		return to, nil
	}
	body, err := request.GetBody()
	to.Body = body
	return to, err
}

// notConnected reports whether a request was not sent because connecting failed.
func notConnected(err error) bool {
	of, ok := errors.AsType[*net.OpError](err)
	return ok && of.Op == "dial"
}

// silent reports whether a request ended because the agent did not answer in time. The connection
// to a hung agent may still exist.
func silent(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errNoAnswer) }

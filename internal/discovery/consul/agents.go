package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// agents says which of several agents to ask: the one that last answered, and when that cannot be
// connected to, the next.
type agents struct {
	addrs []string

	mu      sync.Mutex
	current int // the index of the one to ask
	// pinned is true while no other agent will do: registrations, and the checks that keep them
	// alive, are of one agent.
	pinned bool
	// stay ends, because of errHung, when the current agent is left or hangs.
	stay context.Context //nolint:containedctx // It is a signal with a cause.
	end  context.CancelCauseFunc
	// woken is closed when it is worth trying again at once.
	woken chan struct{}
}

func newAgents(addrs []string) *agents {
	a := &agents{addrs: addrs, woken: make(chan struct{})}
	a.stay, a.end = context.WithCancelCause(context.Background())
	return a
}

// pin has all requests go to the agent that last answered, until unpin.
func (a *agents) pin()   { a.setPinned(true) }
func (a *agents) unpin() { a.setPinned(false) }

func (a *agents) setPinned(pinned bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pinned = pinned
}

// candidates returns which agent to ask, and how many may be tried from there on.
func (a *agents) candidates() (first, count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pinned {
		return a.current, 1
	}
	return a.current, len(a.addrs)
}

// at returns the index of the agent to ask, and what is closed when it is worth trying again at
// once.
func (a *agents) at() (current int, woken <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, a.woken
}

// leave goes on to the next agent, if there is one, unless another caller did so before. Queries
// that wait at the old one end.
func (a *agents) leave(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == n && !a.pinned && len(a.addrs) > 1 {
		a.current = (n + 1) % len(a.addrs)
		a.interrupt()
	}
}

// hangs is leave for an agent that is known to hang: queries that wait at it end even if there is
// no other.
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

// wake makes the callers that pause after a failure try again.
func (a *agents) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.woken)
	a.woken = make(chan struct{})
}

// whileHere returns a context that ends, because of errHung, when the current agent is left or
// hangs.
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

// through returns what sends requests to the agents by way of base.
func (a *agents) through(base http.RoundTripper) http.RoundTripper { return router{a, base} }

// router sends requests to the agents. A request that may have arrived goes to no other.
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

// addressed returns the request for this agent. A RoundTripper must not change the request it is
// given, and closes the body even if it did not connect.
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

// notConnected reports whether a request went nowhere.
func notConnected(err error) bool {
	of, ok := errors.AsType[*net.OpError](err)
	return ok && of.Op == "dial"
}

// silent reports whether an agent let the time for an answer pass, as one that hangs does: the
// connection may be up.
func silent(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errNoAnswer) }

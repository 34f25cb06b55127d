package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// agents sends requests to one of several agents: to the one that last answered, and when it cannot be connected to, to the
// next. A request that may have arrived goes to no other.
type agents struct {
	base  http.RoundTripper
	addrs []string

	mu      sync.Mutex
	current int // the index of the one to ask
	// pinned is true while no other agent will do: registrations, and the checks that keep them alive, are of one agent.
	pinned bool
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

// leave goes on to the next agent, unless somebody did so before.
func (a *agents) leave(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == n && !a.pinned {
		a.current = (n + 1) % len(a.addrs)
	}
}

// RoundTrip implements [http.RoundTripper].
func (a *agents) RoundTrip(request *http.Request) (answer *http.Response, err error) {
	first, count := a.candidates()
	for i := range count {
		n := (first + i) % len(a.addrs)
		to, bodyErr := addressed(request, a.addrs[n])
		if bodyErr != nil {
			return nil, bodyErr
		}
		answer, err = a.base.RoundTrip(to)
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

// addressed returns the request for this agent. A RoundTripper must not change the request it is given, and closes the body
// even if it did not connect.
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

// silent reports whether an agent let the time for an answer pass, as one that hangs does: the connection may be up.
func silent(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errNoAnswer) }

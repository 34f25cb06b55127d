package consul

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// lan stands for agents. It records the requests, and some of its agents cannot be connected to.
type lan struct {
	down  map[string]error
	asked []string
}

func (l *lan) RoundTrip(request *http.Request) (*http.Response, error) {
	l.asked = append(l.asked, request.URL.Host)
	if err := l.down[request.URL.Host]; err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// ask makes a request and returns the agents that it went to, in order.
func (l *lan) ask(t *testing.T, ctx context.Context, a *agents) (string, error) {
	t.Helper()
	l.asked = nil
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://a/", http.NoBody)
	answer, err := a.through(l).RoundTrip(request)
	if err == nil {
		must(t, answer.Body.Close())
	}
	return strings.Join(l.asked, " "), err
}

func TestAgentsAreTriedInOrder(t *testing.T) {
	noDial, cut := dialError(t), errors.New("connection reset")
	l := &lan{down: map[string]error{}}
	a := newAgents([]string{"a", "b", "c"})
	expect := func(want string, fails bool) {
		t.Helper()
		if got, err := l.ask(t, t.Context(), a); got != want || (err != nil) != fails {
			t.Errorf("asked %s, %v; want %s", got, err, want)
		}
	}
	expect("a", false)
	l.down["a"] = noDial
	expect("a b", false)
	delete(l.down, "a")
	expect("b", false) // it stays
	l.down["b"] = cut
	expect("b", true) // it may have arrived
	a.pin()
	l.down["b"] = noDial
	expect("b", true)
	a.unpin()
	expect("b c", false)
	l.down["a"], l.down["c"] = noDial, noDial
	expect("c a b", true)
	delete(l.down, "b")
	expect("c a b", false)
}

// An agent that hangs accepts connections. The request to it fails, and the next request goes to
// another agent.
func TestSilentAgentIsLeft(t *testing.T) {
	l := &lan{down: map[string]error{"a": context.DeadlineExceeded}}
	a := newAgents([]string{"a", "b"})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errNoAnswer)
	if got, err := l.ask(t, ctx, a); got != "a" || err == nil {
		t.Errorf("asked %s, %v", got, err)
	}
	if got, err := l.ask(t, t.Context(), a); got != "b" || err != nil {
		t.Errorf("asked %s, %v", got, err)
	}
}

// dialError returns the error of connecting to an address where nothing listens.
func dialError(t *testing.T) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/", http.NoBody)
	must(t, err)
	answer, err := newTransport(answerWithin, 0).RoundTrip(request)
	if err == nil {
		must(t, answer.Body.Close())
		t.Fatal("a process listens at port 1")
	}
	return err
}

// TestSeveralAgents first has a missing agent and then the agent that has the registrations.
func TestSeveralAgents(t *testing.T) {
	t.Parallel()
	first, second := consultest.Start(t), consultest.Start(t) // of two clusters, so that it shows who was asked
	first.Kill()
	r := open(t, first.URL()+","+second.Addr())
	one := instance("one")
	w := watchCompute(t, r)
	publish(t, r, one)
	w.list(one)
	other := open(t, second.URL())
	if n := len(registered(t, other)); n != 2 {
		t.Errorf("%d services at the second agent, want the process and the instance", n)
	}
	first.Restart()
	second.Kill()
	draining := one
	draining.State = rpc.StateDraining
	if err := r.Publish(t.Context(), []rpc.Instance{draining}); err == nil {
		t.Error("the agent that has the registration is away, and another took it")
	}
	if n := len(registered(t, open(t, first.URL()))); n != 0 {
		t.Errorf("%d services at the first agent, want none", n)
	}
	eventually(t, "the first agent is asked", func() bool {
		list, err := r.List(t.Context())
		return err == nil && len(list) == 0
	})
	second.Restart()
	eventually(t, "it is registered again where it was", func() bool { return len(registered(t, other)) == 2 })
	publish(t, r)
}

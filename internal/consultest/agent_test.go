//go:build unix

package consultest

import (
	"errors"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func newClient(t *testing.T, a *Agent) *api.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := api.NewClient(&api.Config{Address: a.Addr(), Token: Token, HttpClient: &http.Client{Transport: transport, Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keys(t *testing.T, c *api.Client) []string {
	t.Helper()
	found, _, err := c.KV().Keys("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func put(t *testing.T, c *api.Client, key string) {
	t.Helper()
	if _, err := c.KV().Put(&api.KVPair{Key: key}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestStartAlone(t *testing.T) {
	t.Parallel()
	a, b := newClient(t, Start(t)), newClient(t, Start(t))
	put(t, a, "a")
	put(t, b, "b")
	if got := keys(t, a); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the first agent has %v, want its own key only", got)
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	server := Start(t)
	a, b := newClient(t, server), newClient(t, Join(t, server))
	put(t, a, "a")
	if got := keys(t, b); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the agent that joined has %v, want what the server has", got)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	agent := Start(t)
	c := newClient(t, agent)
	put(t, c, "a")
	agent.Kill()
	agent.Kill()
	if _, _, err := c.KV().Keys("", "", nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Kill: %v, want connections to be refused", err)
	}
	agent.Restart()
	if got := keys(t, c); len(got) != 0 {
		t.Errorf("after Restart the agent has %v, want nothing", got)
	}
	put(t, c, "b")
	agent.Restart()
	if got := keys(t, c); len(got) != 0 {
		t.Errorf("after Restart while it ran the agent has %v, want nothing", got)
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	agent := Start(t)
	c := newClient(t, agent)
	agent.Pause()
	var timeout interface{ Timeout() bool }
	if _, err := c.Status().Leader(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("while paused: %v, want no answer", err)
	}
	agent.Resume()
	keys(t, c)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	agent := Start(t, ACLs)
	c := newClient(t, agent)
	put(t, c, "a")
	var status api.StatusError
	_, _, err := c.KV().Get("a", &api.QueryOptions{Token: "00000000-0000-4000-8000-000000000000"})
	if !errors.As(err, &status) || status.Code != http.StatusForbidden {
		t.Errorf("with an unknown token: %v, want 403", err)
	}
}

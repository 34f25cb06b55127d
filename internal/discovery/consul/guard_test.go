package consul

import (
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// within fails the test if more than most has passed since start.
func within(t *testing.T, start time.Time, most time.Duration, what string) {
	t.Helper()
	took := time.Since(start)
	t.Logf("%s took %s", what, took)
	if took > most+slack {
		t.Errorf("%s took %s, want at most %s", what, took, most)
	}
}

// TestHungAgent freezes and resumes the only agent while watches of both kinds wait.
func TestHungAgent(t *testing.T) {
	for name, prepare := range map[string]func(*Registry){"own query": func(*Registry) {}, "shared query": shareAll} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := consultest.Start(t)
			r := open(t, agent.URL())
			prepare(r)
			one := instance("one")
			publish(t, open(t, agent.URL()+"?ttl=5m"), one)
			w := watchCompute(t, r)
			w.list(one)
			for range 2 {
				agent.Pause()
				start := time.Now()
				if err := w.failure(); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), agent.Addr()) {
					t.Errorf("the watch failed with %v, want an error of kind %q that names %s", err, rpc.Unreachable, agent.Addr())
				}
				within(t, start, 8*time.Second, "noticing that the agent hangs")
				agent.Resume()
				start = time.Now()
				w.list(one)
				within(t, start, 3*time.Second, "noticing that it goes on")
			}
		})
	}
}

// TestHungAgentOfTwo freezes the agent at which the watch waits.
func TestHungAgentOfTwo(t *testing.T) {
	t.Parallel()
	second := consultest.Start(t)
	first := consultest.Join(t, second)
	r, publisher := open(t, first.URL()+","+second.Addr()), open(t, second.URL())
	one := instance("one")
	w := watchCompute(t, r)
	w.list()
	first.Pause()
	start := time.Now()
	publish(t, publisher, one)
	w.until("has the instance", func(u registry.Update) bool {
		if u.Err != nil {
			t.Errorf("an error was told, and another agent works: %v", u.Err)
		}
		return registry.Same(u.Instances, []rpc.Instance{one})
	})
	within(t, start, 8*time.Second, "going on with the second agent")
	second.Pause()
	w.failure() // the first still hangs
	first.Resume()
	second.Resume()
	w.list(one)
}

// TestSlowAgent has an agent that takes half a second for every answer.
func TestSlowAgent(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: agent.Addr()})
	proxy.ErrorLog = log.New(t.Output(), "", 0)
	var probes atomic.Int32
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		<-time.After(500 * time.Millisecond)
		if request.URL.Path == "/v1/status/leader" {
			probes.Add(1)
		}
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(slow.Close)
	w := watchCompute(t, open(t, "consul://"+slow.Listener.Addr().String()))
	w.list()
	eventually(t, "it was probed three times", func() bool { return probes.Load() >= 3 })
	select {
	case u := <-w.updates:
		t.Errorf("told of %+v, where nothing happened", u)
	default:
	}
}

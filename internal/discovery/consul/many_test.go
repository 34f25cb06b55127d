package consul

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/discovery"
)

// counted returns the URL of an agent that counts requests, but for signs of life, which come with time.
func counted(t *testing.T, agent *consultest.Agent) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: agent.Addr()})
	transport := &http.Transport{MaxIdleConnsPerHost: 10}
	proxy.Transport = transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isBeat(r) {
			requests.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return "consul://" + server.Listener.Addr().String(), requests
}

func isBeat(r *http.Request) bool {
	const path = "/v1/agent/check/update/"
	return len(r.URL.Path) > len(path) && r.URL.Path[:len(path)] == path
}

// many returns instances of one process.
func many(count int) []discovery.Instance {
	list := make([]discovery.Instance, count)
	for n := range list {
		list[n] = instance("host")
		list[n].BootID = list[0].BootID
	}
	return list
}

// What a process publishes costs what changes, not what there is.
func TestManyInstancesOneByOne(t *testing.T) {
	t.Parallel()
	address, requests := counted(t, consultest.Start(t))
	r := open(t, address)
	all := many(300)
	start := time.Now()
	for n := range all {
		publish(t, r, all[:n+1]...)
	}
	t.Logf("%d instances took %v", len(all), time.Since(start))
	wantRequests := func(what string, most int64) {
		t.Helper()
		if got := requests.Swap(0); got > most {
			t.Errorf("%s took %d requests, want at most %d", what, got, most)
		}
	}
	wantRequests("publishing one by one", 302) // and the process, and a look for an agent that answers
	publish(t, r, all...)
	wantRequests("publishing what is published", 0)
	all[7].State = discovery.Draining
	publish(t, r, all...)
	wantRequests("a change of one", 1)
	must(t, r.publisher.repair(t.Context(), false))
	wantRequests("a look at everything", 1)
	start = time.Now()
	publish(t, r)
	t.Logf("withdrawing took %v", time.Since(start))
	wantRequests("withdrawing", 301)
}

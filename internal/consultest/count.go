package consultest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Counter is an agent's address that counts requests.
type Counter struct {
	server   *httptest.Server
	requests atomic.Int64
}

// Count returns a counter for an agent. It lasts until the test ends.
func Count(tb testing.TB, a *Agent) *Counter {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: a.Addr()})
	proxy.Transport = transport
	c := &Counter{}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if counts(r) {
			c.requests.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	tb.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
		transport.CloseIdleConnections()
	})
	return c
}

// counts reports whether a request comes from an action of the program, and not from a timer or a
// watch.
func counts(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/v1/agent/check/update/") && !strings.HasPrefix(r.URL.Path, "/v1/health/")
}

// URL returns the transport URL.
func (c *Counter) URL() string { return "consul://" + c.server.Listener.Addr().String() }

// Requests returns the number of requests since its last call, without heartbeats and watches.
func (c *Counter) Requests() int { return int(c.requests.Swap(0)) }

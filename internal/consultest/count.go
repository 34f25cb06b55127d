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

// Counter is a proxy in front of an agent that counts requests.
type Counter struct {
	server   *httptest.Server
	requests atomic.Int64
}

// Count returns a counter for an agent, until the test ends.
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

// counts reports whether a request is counted. Requests by timers and watches are not.
func counts(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/v1/agent/check/update/") && !strings.HasPrefix(r.URL.Path, "/v1/health/")
}

// URL returns the transport URL for the counter.
func (c *Counter) URL() string { return "consul://" + c.server.Listener.Addr().String() }

// Requests returns the number of requests since the last call of Requests. Heartbeats and watches
// do not count.
func (c *Counter) Requests() int { return int(c.requests.Swap(0)) }

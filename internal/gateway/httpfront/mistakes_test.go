package httpfront_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
)

// TestMistakes checks the errors for clients that make mistakes. No such request reaches a method.
func TestMistakes(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, func(c *httpfront.Config) { c.MaxBody = 1 << 10 })
	for _, m := range []struct {
		method, path, body string
		headers            []string
		status             int
		kind, detail       string
	}{
		{"GET", "/v1/call/volumes/whoami", "", nil, 405, "Invalid", "/v1/call/volumes/whoami takes POST requests, not GET"},
		{"POST", "/v1/topics", "", nil, 405, "Invalid", "takes GET requests"},
		{"POST", "/v1/calls/volumes/whoami", "", nil, 404, "Invalid", "use /v1/call/TOPIC/METHOD"},
		{"POST", "/v1/call/volumes", "", nil, 404, "Invalid", "needs a topic and a method"},
		{"POST", "/v1/call/a/b/c", "", nil, 404, "Invalid", "write a slash within a name as %2F"},
		{"POST", "/v1/call/volumes/whoami?tiemout=5s", "", nil, 400, "Invalid", `no parameter "tiemout"`},
		{"POST", "/v1/call/volumes/whoami?timeout=5", "", nil, 400, "Invalid", "5 needs a unit: write 5s or 5ms"},
		{"POST", "/v1/call/volumes/whoami?timeout=-1s", "", nil, 400, "Invalid", "must be greater than 0"},
		{"POST", "/v1/call/volumes/whoami?timeout=soon", "", nil, 400, "Invalid", "a number and a unit"},
		{"POST", "/v1/call/volumes/whoami?server=", "", nil, 400, "Invalid", `the parameter "server" is empty`},
		{"POST", "/v1/call/volumes/whoami?server=a&server=b", "", nil, 400, "Invalid", "given 2 times"},
		{"POST", "/v1/call/volumes/whoami?version=new", "", nil, 400, "InvalidTarget", "version"},
		{"POST", "/v1/fanout/volumes/note?server=a", "", nil, 400, "Invalid", "cannot name one"},
		{"POST", "/v1/call/volumes/create", `{"name":"a","size":"large"}`, nil, 400, "BadArguments", "/size"},
		{"POST", "/v1/call/volumes/create", `{"name":"a"}`, nil, 400, "BadArguments", "size"},
		{"POST", "/v1/call/volumes/create", `{"title":"a","size":1}`, nil, 400, "BadArguments", "title"},
		{"POST", "/v1/call/volumes/create", `[1]`, nil, 400, "BadArguments", "must be a JSON object of keyword arguments"},
		{"POST", "/v1/call/volumes/create", `null`, nil, 400, "BadArguments", "is null"},
		{"POST", "/v1/call/volumes/create", `{"name":}`, nil, 400, "BadArguments", "must be a JSON object"},
		{"POST", "/v1/call/volumes/create", `{"name":"a","name":"b","size":1}`, nil, 400, "BadArguments", "name"},
		{"POST", "/v1/call/volumes/create", `{} {}`, nil, 400, "BadArguments", "must be a JSON object"},
		{"POST", "/v1/call/volumes/echo", `{"x":NaN}`, nil, 400, "BadArguments", "must be a JSON object"},
		{"POST", "/v1/call/volumes/echo", "{\"x\":\"\xff\"}", nil, 400, "BadArguments", "not UTF-8"},
		{"POST", "/v1/call/volumes/echo", `{"x":"` + strings.Repeat("x", 1<<10) + `"}`, nil, 413, "TooLarge", "more than 1024 bytes"},
		{"POST", "/v1/call/volumes/echo", `<x/>`, []string{"Content-Type", "application/xml"}, 415, "Invalid", "its type is application/json"},
		{"POST", "/v1/call/volumes/echo", `{}`, []string{"Content-Encoding", "gzip"}, 415, "Invalid", "must not be compressed"},
		{"POST", "/v1/call/volumes/user", `{}`, []string{"Oslorpc-Context", "alice"}, 400, "Invalid", "must be the text of a JSON object"},
		{"POST", "/v1/call/volumes/wohami", "", nil, 404, "NoSuchMethod", "wohami"},
		{"POST", "/v1/call/volumes/whoami?version=1.9&timeout=1s", "", nil, 409, "UnsupportedVersion", "1.9"},
		{"POST", "/v1/call/volumes/whoami?namespace=other&timeout=1s", "", nil, 409, "UnsupportedVersion", "other"},
		{"POST", "/v1/call/volumse/whoami?timeout=100ms", "", nil, 503, "NoInstance", "volumse"},
		{"POST", "/v1/call/volumes/whoami?server=z&timeout=100ms", "", nil, 503, "NoInstance", "z"},
		{"POST", "/v1/call/volumes/hang?timeout=50ms", "", nil, 504, "Timeout", "hang"},
		{"POST", "/v1/call/volumes/fail", "", nil, 500, "Remote", "the disk is full"},
		{"GET", "/v1/topics/volumse", "", nil, 404, "Invalid", "no server is on topic volumse"},
		{"GET", "/v1/openapi/volumes?version=3.0", "", nil, 404, "Invalid", "they have namespace legacy at 2.1; the default namespace at 1.4"},
		{"GET", "/v1/openapi/volumes?version=x", "", nil, 400, "Invalid", "version=x"},
		{"POST", "/v1/call/volumes/whoami", "", []string{"Host", "evil.example"}, 421, "Invalid", `not called "evil.example"`},
		{"POST", "/v1/call/volumes/whoami", "", []string{"Origin", "https://evil.example"}, 403, "Invalid", `pages of the origin "https://evil.example"`},
		{"POST", "/v1/call/volumes/whoami", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "Invalid", "may not use this gateway"},
	} {
		t.Run(m.method+m.path+m.body, func(t *testing.T) {
			t.Parallel()
			got := f.do(t, m.method, m.path, m.body, m.headers...)
			p := got.problem(t)
			if got.status != m.status || p.Kind != m.kind || !strings.Contains(p.Detail, m.detail) {
				t.Errorf("got %d %s, want %d, %s and %q", got.status, got.body, m.status, m.kind, m.detail)
			}
			if started := m.kind == "Remote" || m.kind == "Timeout"; p.SafeToRetry == started {
				t.Errorf("safe_to_retry is %v of %s", p.SafeToRetry, m.kind)
			}
			if m.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
				t.Error("nothing says when to try again")
			}
		})
	}
}

func TestOriginsThatAreTrusted(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, func(c *httpfront.Config) { c.Origins = []string{"https://console.example"} })
	got := f.post(t, "/v1/call/volumes/whoami", "", "Origin", "https://console.example", "Sec-Fetch-Site", "cross-site")
	got.check(t, 200, `"a"`)
	if origin := got.header.Get("Access-Control-Allow-Origin"); origin != "https://console.example" {
		t.Errorf("browsers hand the response to %q", origin)
	}
	preflight := f.do(t, http.MethodOptions, "/v1/call/volumes/whoami", "", "Origin", "https://console.example", "Access-Control-Request-Method", "POST")
	if preflight.status != 204 || !strings.Contains(preflight.header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("got %d %v", preflight.status, preflight.header)
	}
	if got := f.do(t, http.MethodOptions, "/v1/call/volumes/whoami", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"); got.status < 400 {
		t.Errorf("a foreign origin got %d %v", got.status, got.header)
	}
	if _, err := httpfront.New(httpfront.Config{Origins: []string{"console"}}); err == nil {
		t.Error("an origin without a scheme is taken")
	}
}

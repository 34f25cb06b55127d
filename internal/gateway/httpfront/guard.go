package httpfront

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// guarded returns a handler that refuses requests which are not allowed on any path: requests with
// foreign host names, requests from pages of other origins, and requests above the limit of
// concurrent ones. It also bounds how long a client may take to send a request and to read the
// response.
func (f *front) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// The deadline of the previous response on the same connection may have passed.
		_ = control.SetWriteDeadline(time.Time{})
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := f.checkHost(r); err != nil {
			f.fail(w, err)
			return
		}
		if f.share(w, r) {
			return
		}
		if err := f.trusted.Check(r); err != nil {
			f.fail(w, &mistake{status: http.StatusForbidden, title: "cross-origin request",
				detail: fmt.Sprintf("pages of the origin %q may not use this gateway; start it with --cors-origin to let them", r.Header.Get("Origin"))})
			return
		}
		defer f.requests.Add(-1)
		if f.requests.Add(1) > int64(f.MaxRequests) {
			f.fail(w, &rpc.Error{Kind: rpc.Refused, NotStarted: true,
				Message: fmt.Sprintf("this gateway already handles %d requests, which is its limit: try again later, or use another gateway", f.MaxRequests)})
			return
		}
		next.ServeHTTP(&timed{ResponseWriter: w, control: control, timeout: f.WriteTimeout}, r)
	})
}

// share implements CORS for the allowed origins: it answers their preflight requests, and sets the
// headers by which browsers let their pages read responses. It reports whether the request is
// answered.
func (f *front) share(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if len(f.origins) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if !f.origins[origin] {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Oslorpc-Context, Traceparent, Tracestate")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// checkHost refuses requests to a loopback address whose Host header is a foreign name. An attacker
// can make such a name resolve to that address (DNS rebinding), and browsers would then treat the
// attacker's page as a page of the front.
func (f *front) checkHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || r.TLS != nil {
		return nil
	}
	if at, is := local.(*net.TCPAddr); !is || !at.IP.IsLoopback() {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if net.ParseIP(host) != nil || host == "localhost" || f.hosts[host] {
		return nil
	}
	return &mistake{status: http.StatusMisdirectedRequest, title: "misdirected request",
		detail: fmt.Sprintf("the gateway listens on this machine only and is not called %q: use localhost, or start it with --http-host %s", host, host)}
}

// only restricts a path to one HTTP method.
func (f *front) only(method string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			next(w, r)
			return
		}
		f.fail(w, &mistake{status: http.StatusMethodNotAllowed, title: "method not allowed", header: http.Header{"Allow": {method}},
			detail: fmt.Sprintf("%s takes %s requests, not %s", r.URL.Path, method, r.Method)})
	})
}

// notFound is the title of a problem.
const notFound = "not found"

// unknown answers requests for paths that do not exist.
func (f *front) unknown(w http.ResponseWriter, r *http.Request) {
	detail := fmt.Sprintf("there is nothing at %s: use /v1/call/TOPIC/METHOD, and fanout, gather, cast or multicall in place of call; "+
		"or GET /v1/topics, /v1/topics/TOPIC, /v1/openapi/TOPIC or /healthz", r.URL.Path)
	if parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); len(parts) >= 2 && parts[0] == "v1" && deliveries[rpc.Delivery(parts[1])] != nil {
		detail = fmt.Sprintf("%s needs a topic and a method, and no more: /v1/%s/TOPIC/METHOD; write a slash within a name as %%2F", r.URL.Path, parts[1])
	}
	f.fail(w, &mistake{status: http.StatusNotFound, title: notFound, detail: detail})
}

// identify returns the sender of a request.
func (f *front) identify(r *http.Request) (rpc.Peer, error) {
	from := rpc.Peer{Addr: r.RemoteAddr, TLS: r.TLS}
	if f.Identify == nil {
		return from, nil
	}
	identity, err := f.Identify(r)
	if err != nil {
		return from, &mistake{status: http.StatusUnauthorized, title: "unauthenticated",
			detail: err.Error(), header: http.Header{"Www-Authenticate": {"Bearer"}}}
	}
	from.Identity = identity
	return from, nil
}

// timed is a response writer that bounds the time of each write.
type timed struct {
	http.ResponseWriter

	control *http.ResponseController
	timeout time.Duration
}

// Write implements [http.ResponseWriter].
func (t *timed) Write(b []byte) (int, error) {
	// Writers without deadlines are only used in tests.
	_ = t.control.SetWriteDeadline(time.Now().Add(t.timeout))
	return t.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController access to the underlying writer.
func (t *timed) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// names returns the sorted keys of a map as a list for error texts.
func names[V any](m map[string]V) string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

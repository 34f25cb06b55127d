//go:build linux

package world

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// Answer answers a request of a proxy. It returns false to forward the request to Consul.
type Answer func(w http.ResponseWriter, r *http.Request) bool

// ConsulProxy is a proxy in front of a Consul agent. It forwards requests, or answers them itself.
type ConsulProxy struct {
	// Addr is the proxy's address.
	Addr string

	w      *World
	to     string
	server *http.Server
	client *http.Transport

	mu      sync.Mutex
	answer  Answer        // nil passes everything on
	changed chan struct{} // closed to abort waiting requests
}

// Proxy starts a proxy in front of the agent. It connects to the agent from a loopback address,
// such as "127.0.0.2", since Consul limits the connections from each address.
func (a *Agent) Proxy(from string) *ConsulProxy {
	l := a.w.listen()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	p := &ConsulProxy{Addr: l.Addr().String(), w: a.w, to: a.Addr(), client: &http.Transport{DialContext: dialer.DialContext}}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.set(nil, true)
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(l) }()
	a.w.cleanup(func() {
		p.set(nil, true)
		_ = p.server.Close() // closes open requests
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			a.w.Fatalf("a proxy ended: %v", err)
		}
		p.client.CloseIdleConnections()
	})
	return p
}

// set changes how the proxy answers. With cut, waiting requests are aborted; otherwise they wait
// for the new answer.
func (p *ConsulProxy) set(answer Answer, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
	if p.changed != nil && !cut {
		return
	}
	if p.changed != nil {
		close(p.changed)
	}
	p.changed = make(chan struct{})
}

func (p *ConsulProxy) state() (answer Answer, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer, p.changed
}

// Answer changes how the proxy answers from now on. Waiting requests are aborted.
func (p *ConsulProxy) Answer(what string, answer Answer) {
	p.w.Injectf("Consul %s", what)
	p.set(answer, true)
}

// Hang makes the proxy answer no request, not even those that wait already.
func (p *ConsulProxy) Hang() {
	p.w.Injectf("Consul hung")
	p.set(hang, false)
}

// Pass makes the proxy forward everything.
func (p *ConsulProxy) Pass() {
	p.w.Eventf(history.Noted, "", "Consul is as before")
	p.set(nil, true)
}

// ServeHTTP implements [http.Handler].
func (p *ConsulProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, changed := p.state()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	r = r.WithContext(ctx)
	if answer != nil && answer(w, r) {
		return
	}
	request := r.Clone(ctx)
	request.URL.Scheme, request.URL.Host, request.RequestURI = "http", p.to, ""
	response, err := p.client.RoundTrip(request)
	if err != nil {
		panic(http.ErrAbortHandler) // closes the connection, since Consul closed its own
	}
	defer response.Body.Close()
	if answer, _ = p.state(); answer != nil && answer(w, r) {
		return
	}
	maps.Copy(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(w, response.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// Status answers everything with an HTTP status.
func Status(code int, text string) Answer {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, text, code)
		return true
	}
}

// hang never answers.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Slow forwards everything after a delay.
func Slow(d time.Duration) Answer {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return false
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Text answers reads with texts, such as garbage, in turn. The index behaves as if the agent had
// lost its data: it starts again at 1 from time to time. Blocking queries get an answer after a
// second.
func Text(texts ...string) Answer {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/v1/health/") && !strings.HasPrefix(r.URL.Path, "/v1/catalog/") {
			return false
		}
		index, _ := strconv.Atoi(r.URL.Query().Get("index")) // 0 if there is none
		if index > 0 {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		}
		index = index%20 + 1
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Consul-Index", strconv.Itoa(index))
		_, _ = io.WriteString(w, texts[index%len(texts)]) // the client may have left
		return true
	}
}

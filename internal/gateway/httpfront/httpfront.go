// Package httpfront offers the messages of a fleet over HTTP, as JSON: a client needs no more than
// curl or fetch. The keyword arguments are the body of a request, and the result is the body of the
// response, both untouched. Errors are problem details (RFC 9457) with the kind of the error and
// whether the message may be sent again.
//
// The package turns requests into messages of an [intake.Intake], as the gRPC services do, and
// errors into problems. It decides nothing else: the gate, the interceptors, the limits and the
// forwarder of the process see no difference.
package httpfront

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config says what a front is in front of. Intake and Log are required.
type Config struct {
	// Intake takes the messages in.
	Intake *intake.Intake
	// Identify returns what the connection and the headers of a request prove of its sender. An
	// error refuses the request. Nil: senders prove nothing.
	Identify func(*http.Request) (rpc.Identity, error)
	// Origins are the origins whose pages may use the front from browsers, such as
	// "https://console.example". Empty: none but the front's own.
	Origins []string
	// Hosts are the host names, besides localhost and addresses, that requests to a loopback
	// address may use. Others are refused, so that a page cannot reach the front under a name of
	// its own.
	Hosts []string
	// MaxBody bounds the body of a request, in bytes. 0: DefaultMaxBody.
	MaxBody int64
	// MaxRequests bounds the requests at a time. 0: DefaultMaxRequests.
	MaxRequests int
	// WriteTimeout is how long a client may take to read a part of a response. 0:
	// DefaultWriteTimeout.
	WriteTimeout time.Duration
	Log          *slog.Logger
}

// The defaults of a Config.
const (
	// DefaultMaxBody is what a message of the contract may have.
	DefaultMaxBody      = 16 << 20
	DefaultMaxRequests  = 1024
	DefaultWriteTimeout = 30 * time.Second
)

// front is the handler.
type front struct {
	Config

	requests atomic.Int64
	stopping atomic.Bool
	// trusted refuses requests that pages of other origins make.
	trusted *http.CrossOriginProtection
	origins map[string]bool
	hosts   map[string]bool
}

// Handler serves the front. It is safe for concurrent use.
type Handler struct {
	http.Handler

	front *front
}

// New returns a handler. The error is about an origin.
func New(c Config) (*Handler, error) {
	f := &front{Config: c, trusted: http.NewCrossOriginProtection(), origins: map[string]bool{}, hosts: map[string]bool{}}
	if f.MaxBody == 0 {
		f.MaxBody = DefaultMaxBody
	}
	if f.MaxRequests == 0 {
		f.MaxRequests = DefaultMaxRequests
	}
	if f.WriteTimeout == 0 {
		f.WriteTimeout = DefaultWriteTimeout
	}
	for _, origin := range c.Origins {
		if err := f.trusted.AddTrustedOrigin(origin); err != nil {
			return nil, &rpc.Error{Kind: rpc.Invalid, Message: `the origin "` + origin + `" is malformed: write "https://host" or "https://host:port"`}
		}
		f.origins[origin] = true
	}
	for _, host := range c.Hosts {
		f.hosts[host] = true
	}
	return &Handler{Handler: f.guarded(f.routes()), front: f}, nil
}

// Stop has the handler refuse further messages, which their senders may send elsewhere. Messages on
// their way go on.
func (h *Handler) Stop() { h.front.stopping.Store(true) }

// routes returns what serves each path.
func (f *front) routes() http.Handler {
	mux := http.NewServeMux()
	for name, d := range deliveries {
		mux.Handle("/v1/"+string(name)+"/{topic}/{method}", f.only(http.MethodPost, func(w http.ResponseWriter, r *http.Request) { f.deliver(w, r, d) }))
	}
	mux.Handle("/v1/topics", f.only(http.MethodGet, f.topics))
	mux.Handle("/v1/topics/{topic}", f.only(http.MethodGet, f.topic))
	mux.Handle("/v1/openapi/{topic}", f.only(http.MethodGet, f.openapi))
	mux.Handle("/healthz", f.only(http.MethodGet, f.health))
	mux.HandleFunc("/", f.unknown)
	return mux
}

// health answers load balancers: 200, or 503 while the front stops.
func (f *front) health(w http.ResponseWriter, _ *http.Request) {
	if f.stopping.Load() {
		f.fail(w, errStopping())
		return
	}
	writeJSON(w, []byte(`{"status":"serving"}`))
}

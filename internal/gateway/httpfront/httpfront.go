// Package httpfront accepts messages for a fleet over HTTP as JSON, so that a client needs only
// curl or fetch. The body of a request is the JSON object of the keyword arguments, and the body of
// the response is the result; the front changes neither. Errors are problem details (RFC 9457),
// with the kind of the error and whether the message may be sent again.
//
// The package turns requests into messages of an [intake.Intake], as the gRPC services do, and
// errors into problems. The policy, the interceptors, the limits and the forwarder of the process
// apply as they do to other messages.
package httpfront

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config is the configuration of a front. Intake and Log are required.
type Config struct {
	// Intake handles the messages.
	Intake *intake.Intake
	// Identify returns the identity that the connection and the headers of a request prove for its
	// sender. An error refuses the request. If Identify is nil, senders prove no identity.
	Identify func(*http.Request) (rpc.Identity, error)
	// Origins are the origins whose pages may use the front from browsers, such as
	// "https://console.example". If Origins is empty, only pages of the front's own origin may.
	Origins []string
	// Hosts are the host names, besides localhost and IP addresses, that requests to a loopback
	// address may use. Requests with other names are refused, so that a page cannot reach the front
	// under a name that points to a loopback address.
	Hosts []string
	// MaxBody bounds the body of a request, in bytes. 0 means DefaultMaxBody.
	MaxBody int64
	// MaxRequests bounds the concurrent requests. 0 means DefaultMaxRequests.
	MaxRequests int
	// WriteTimeout is how long a client may take to read a part of a response. 0 means
	// DefaultWriteTimeout.
	WriteTimeout time.Duration
	Log          *slog.Logger
}

// These are the defaults of a Config.
const (
	// DefaultMaxBody is the maximum size of a message in the protocol.
	DefaultMaxBody      = 16 << 20
	DefaultMaxRequests  = 1024
	DefaultWriteTimeout = 30 * time.Second
)

// front is the implementation of Handler.
type front struct {
	Config

	requests atomic.Int64
	stopping atomic.Bool
	// trusted refuses requests from pages of other origins.
	trusted *http.CrossOriginProtection
	origins map[string]bool
	hosts   map[string]bool
}

// Handler is the HTTP handler of the front. It is safe for concurrent use.
type Handler struct {
	http.Handler

	front *front
}

// New returns a handler. It fails if an origin is malformed.
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

// Stop makes the handler refuse new messages, so that their senders send them elsewhere. Requests
// in progress continue.
func (h *Handler) Stop() { h.front.stopping.Store(true) }

// routes returns the handler of all paths.
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

package httpfront

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// statuses has the HTTP status of each kind of error.
var statuses = map[rpc.Kind]int{
	rpc.InvalidTarget:      http.StatusBadRequest,
	rpc.VersionCapExceeded: http.StatusConflict,
	rpc.UnsupportedVersion: http.StatusConflict,
	rpc.NoSuchMethod:       http.StatusNotFound,
	rpc.BadArguments:       http.StatusBadRequest,
	rpc.BadResult:          http.StatusBadGateway,
	rpc.TooLarge:           http.StatusRequestEntityTooLarge,
	rpc.AccessDenied:       http.StatusForbidden,
	rpc.NoInstance:         http.StatusServiceUnavailable,
	rpc.Refused:            http.StatusServiceUnavailable,
	rpc.Unreachable:        http.StatusServiceUnavailable,
	rpc.Untrusted:          http.StatusBadGateway,
	rpc.Timeout:            http.StatusGatewayTimeout,
	rpc.MonitorTimeout:     http.StatusGatewayTimeout,
	rpc.OutcomeUnknown:     http.StatusBadGateway,
	rpc.Remote:             http.StatusInternalServerError,
	rpc.Canceled:           499, // nginx's "client closed request"; the client is gone and does not see it
	rpc.Invalid:            http.StatusBadRequest,
	rpc.Unknown:            http.StatusInternalServerError,
}

// problem is a problem detail of RFC 9457, with the fields of an rpc.Error.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Kind is the name of the error's kind in Go.
	Kind string `json:"kind"`
	// SafeToRetry is true if the method provably did not run.
	SafeToRetry bool   `json:"safe_to_retry"`
	Server      string `json:"server,omitempty"`
	InstanceID  string `json:"instance_id,omitempty"`
	Method      string `json:"method,omitempty"`
	Topic       string `json:"topic,omitempty"`
	Path        string `json:"path,omitempty"`
	// Implemented lists the interfaces that the server offers, if the version of the message is not
	// among them.
	Implemented []versionDocument `json:"implemented,omitempty"`
	Remote      *remote           `json:"remote,omitempty"`
}

// remote is an rpc.RemoteError.
type remote struct {
	Type    string          `json:"type"`
	Message string          `json:"message"`
	Stack   []string        `json:"stack,omitempty"`
	Hops    []string        `json:"hops,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// mistake is the error for a request that the front itself refuses. The message reached no server.
type mistake struct {
	status int
	title  string
	detail string
	header http.Header
}

func (m *mistake) Error() string { return m.detail }

// problemOf converts an error to a problem.
func problemOf(err error) *problem {
	if m, ok := errors.AsType[*mistake](err); ok {
		return &problem{Type: "about:blank", Title: m.title, Status: m.status, Detail: m.detail, Kind: rpc.Invalid.Name(), SafeToRetry: true}
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		e = &rpc.Error{Kind: rpc.Unknown, Message: err.Error()}
	}
	p := &problem{
		Type: "urn:oslorpc:error:" + e.Kind.Name(), Title: e.Kind.String(), Status: statusOf(e.Kind), Detail: e.Error(),
		Kind: e.Kind.Name(), SafeToRetry: e.NotStarted, Server: e.Server, InstanceID: e.InstanceID, Method: e.Method, Topic: e.Target.Topic, Path: e.Path,
	}
	if list := refusal.Offered(err); len(list) > 0 {
		p.Implemented = versionsOf(list)
	}
	if failed, ok := errors.AsType[*rpc.RemoteError](err); ok {
		p.Remote = &remote{Type: failed.Type, Message: failed.Message, Stack: failed.Stack, Hops: failed.Hops}
		if json.Valid([]byte(failed.Data)) {
			p.Remote.Data = json.RawMessage(failed.Data)
		}
	}
	return p
}

func statusOf(k rpc.Kind) int {
	if status, known := statuses[k]; known {
		return status
	}
	return http.StatusInternalServerError
}

// text returns the problem as JSON.
func (p *problem) text() []byte {
	b, err := marshal(p)
	if err != nil { // only for a remote error whose data is not JSON, which problemOf rules out
		panic(err)
	}
	return b
}

// marshal returns a value as JSON. It does not escape characters for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// fail answers a request with a problem.
func (f *front) fail(w http.ResponseWriter, err error) {
	p := problemOf(err)
	h := w.Header()
	if m, ok := errors.AsType[*mistake](err); ok {
		maps.Copy(h, m.header)
	}
	if p.Status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "1")
	}
	if p.Status == http.StatusForbidden && p.Kind == rpc.AccessDenied.Name() {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("Content-Type", "application/problem+json")
	body := p.text()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that is gone reads nothing
}

func errStopping() error {
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Message: "this gateway is stopping; send the request to another one"}
}

// writeJSON answers with JSON text.
func writeJSON(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone reads nothing
}

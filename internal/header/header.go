// Package header is the metadata that typed calls carry: their names, and how what they say is
// written and read. A typed call sends only what its path and the options of its service do not
// imply, so most have no header at all.
package header

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The headers of a request. Names are percent-encoded, because metadata is ASCII.
const (
	// Version is the lowest version of the service that can serve the call. Absent: the .0 of the
	// service's major version.
	Version = "oslorpc-version"
	// Exchange is the scope of the topic. Absent: not given.
	Exchange = "oslorpc-exchange"
	// Topic is where the service is meant to be. Absent: as the service's options say.
	Topic = "oslorpc-topic"
	// Server is the one server meant. Absent: not given.
	Server = "oslorpc-server"
	// Instance is the one process meant. Absent: not given.
	Instance = "oslorpc-instance"
	// ID is unique to the message. Absent: it cannot be told from a repeated one.
	ID = "oslorpc-id"
	// Context is the request context, as JSON text.
	Context = "oslorpc-context-bin"
	// Missed is how long ago a message to the server could not be delivered, as a Go duration; it
	// counts beside an id. Absent: none.
	Missed = "oslorpc-missed"
	// OrderKey makes messages with the same key run one after the other. It counts only beside an
	// id. Absent: none.
	OrderKey = "oslorpc-order-key"
	// Caller is on whose behalf a gateway sends the message, as an encoded Caller of the contract.
	Caller = "oslorpc-caller-bin"
	// Report asks for what the server implements.
	Report = "oslorpc-report"
)

// Implemented is the trailer that answers Report: versions, separated by commas.
const Implemented = "oslorpc-implemented"

// yes is the value of a header that is there or not.
const yes = "1"

// Request is what the headers of a request say. An empty string is an absent header.
type Request struct {
	// Version counts if HasVersion is set.
	Version                 rpc.Version
	HasVersion              bool
	Exchange, Topic, Server string
	Instance, ID, Context   string
	OrderKey, Caller        string
	Report                  bool
	Missed                  time.Duration
}

// Read returns what the headers of a request say, but for Report. The error names the header that
// is malformed. Callers wrap it with a kind of theirs.
//
// To ask for a header that is not there costs as much as to look at all that are. So some are
// looked for only where they matter: only a message with an id can tell of another.
func Read(ctx context.Context) (Request, error) { return Of(ctx).Read() }

// Of returns the headers of the RPC that is served with ctx.
func Of(ctx context.Context) Headers { return Headers{ctx: ctx} }

// Arrived is Of for the context of an RPC whose headers nothing has changed since [Arrive], if that
// was called. Reading them takes a tenth of the time.
func Arrived(ctx context.Context) Headers {
	arrived, _ := ctx.Value(arrivedKey{}).(metadata.MD)
	return Headers{ctx, arrived}
}

type arrivedKey struct{}

// Arrive returns the context of an RPC of a typed service that arrives with these headers.
func Arrive(ctx context.Context, md metadata.MD) context.Context {
	return context.WithValue(ctx, arrivedKey{}, md)
}

// Headers are the headers of a request that is served.
type Headers struct {
	ctx     context.Context //nolint:containedctx // It has the headers.
	arrived metadata.MD     // the same, if it is not nil
}

// UserAgent returns what the program at the other end calls itself, empty if it does not say.
func (h Headers) UserAgent() string {
	if agents := h.values("user-agent"); len(agents) > 0 {
		return agents[0]
	}
	return ""
}

// values returns the values of a header. They must not be changed.
func (h Headers) values(key string) []string {
	if h.arrived != nil {
		return h.arrived[key]
	}
	return metadata.ValueFromIncomingContext(h.ctx, key)
}

// Read returns what the headers say; see the function of that name.
func (h Headers) Read() (r Request, err error) {
	if r.Instance, err = h.escaped(Instance); err != nil {
		return Request{}, err
	}
	if r.Exchange, r.Topic, r.Server, err = h.scope(); err != nil {
		return Request{}, err
	}
	if r.ID, err = h.escaped(ID); err != nil {
		return Request{}, err
	}
	if r.ID != "" {
		if r.Missed, err = h.missed(); err != nil {
			return Request{}, err
		}
		if r.OrderKey, err = h.escaped(OrderKey); err != nil {
			return Request{}, err
		}
	}
	if err = r.readVersion(h); err != nil {
		return Request{}, err
	}
	if r.Context, err = h.single(Context); err != nil {
		return r, err
	}
	r.Caller, err = h.single(Caller)
	return r, err
}

// scope returns who is meant, beside the instance or without one. Proxies route by it.
func (h Headers) scope() (exchange, topic, server string, err error) {
	if exchange, err = h.escaped(Exchange); err != nil {
		return "", "", "", err
	}
	if topic, err = h.escaped(Topic); err != nil {
		return "", "", "", err
	}
	server, err = h.escaped(Server)
	return exchange, topic, server, err
}

func (r *Request) readVersion(h Headers) error {
	text, err := h.single(Version)
	if err != nil || text == "" {
		return err
	}
	if r.Version, err = rpc.ParseVersion(text); err != nil {
		return fmt.Errorf("the header %s: %w", Version, err)
	}
	r.HasVersion = true
	return nil
}

// WantsReport reports whether a request asks for what the server implements.
func WantsReport(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, Report)) > 0
}

// escaped returns the value of a header that is percent-encoded, empty if it is absent.
func (h Headers) escaped(key string) (string, error) {
	text, err := h.single(key)
	if err != nil || text == "" {
		return "", err
	}
	if text, err = Unescape(text); err != nil {
		return "", fmt.Errorf("the header %s: %w", key, err)
	}
	return text, nil
}

func (h Headers) missed() (time.Duration, error) {
	text, err := h.single(Missed)
	if err != nil || text == "" {
		return 0, err
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		return 0, fmt.Errorf("the header %s: %.64q is not a duration such as 1.5s", Missed, text)
	}
	return ago, nil
}

// single returns the value of a header, empty if it is absent. An empty value can only be a mistake
// of the caller, and of two it is not known which counts.
func (h Headers) single(key string) (string, error) {
	values := h.values(key)
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", fmt.Errorf("the header %s was sent %d times: send it once", key, len(values))
	case values[0] == "":
		return "", fmt.Errorf("the header %s is empty: leave it out to say nothing", key)
	}
	return values[0], nil
}

// prefix is what the names of all headers begin with.
const prefix = "oslorpc-"

// Authorization is the header with a bearer token. It is the program's own, unless the transport
// sends a token with each RPC, or verifies the tokens of its clients.
const Authorization = "authorization"

// isOurs reports whether a header is not for programs to write.
func isOurs(name string) bool { return strings.HasPrefix(name, prefix) }

// IsPlain reports whether gRPC sends metadata of a program as it is: it knows no header of that
// name, and refuses neither the name nor a value.
func IsPlain(name string, values []string) bool {
	switch name {
	case "", "content-type", "user-agent", "te":
		return false
	}
	if strings.HasPrefix(name, "grpc-") || isOurs(name) || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) {
		return false
	}
	return strings.HasSuffix(name, "-bin") || !slices.ContainsFunc(values, func(v string) bool {
		return strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
	})
}

// Write returns a context whose calls carry the headers, and no others of ours: headers that a
// handler passes on with the metadata of the request that it serves describe that request.
func Write(ctx context.Context, r *Request) context.Context {
	var room pairs
	pairs := r.appendTo(room[:0])
	md, has := metadata.FromOutgoingContext(ctx) // a copy
	if !has {
		if len(pairs) == 0 {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, pairs...)
	}
	for key := range md {
		if isOurs(key) {
			delete(md, key)
		}
	}
	return with(ctx, md, pairs)
}

// Amend is Write for a call that may have headers of ours already, as one that a client of oslorpc
// makes: what r does not say is left as it is, but for Version and Report. Of a call that is not
// marked as complete, the headers that speak of one message are removed.
func Amend(ctx context.Context, r *Request) context.Context {
	var room pairs
	pairs := r.appendTo(room[:0])
	md, has := metadata.FromOutgoingContext(ctx) // a copy
	if !has {
		if len(pairs) == 0 {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, pairs...)
	}
	stale := []string{Version, Report}
	if ctx.Value(completeKey{}) == nil {
		stale = append(stale, Instance, ID, Missed)
	}
	for _, key := range stale {
		delete(md, key)
	}
	return with(ctx, md, pairs)
}

func with(ctx context.Context, md metadata.MD, pairs []string) context.Context {
	for i := 0; i < len(pairs); i += 2 {
		md.Set(pairs[i], pairs[i+1])
	}
	return metadata.NewOutgoingContext(ctx, md)
}

type completeKey struct{}

// Complete marks a context whose headers Write has written.
func Complete(ctx context.Context) context.Context {
	return context.WithValue(ctx, completeKey{}, true)
}

// Outgoing returns the metadata that a program adds to its calls, without the headers of ours that
// it passes on. It is nil if there is none. The caller may change it.
func Outgoing(ctx context.Context) rpc.Metadata {
	md, has := metadata.FromOutgoingContext(ctx) // a copy
	if !has {
		return nil
	}
	for key := range md {
		if isOurs(key) {
			delete(md, key)
		}
	}
	return rpc.Metadata(md)
}

// Size returns how much of a header list the metadata takes that a program adds to its calls, as
// HTTP/2 counts it, without the headers of ours that it passes on.
func Size(md map[string][]string) int {
	n := 0
	for key, values := range md {
		if isOurs(key) {
			continue
		}
		for _, value := range values {
			n += FieldSize(key, value)
		}
	}
	return n
}

// FieldSize returns how much of a header list one header takes: 32 bytes beside its name and its
// value, which is in base64 if it is binary.
func FieldSize(key, value string) int {
	n := len(value)
	if strings.HasSuffix(key, "-bin") {
		n = base64.RawStdEncoding.EncodedLen(n)
	}
	return len(key) + n + 32
}

// pairs is room for the headers of most calls, each with its value after it.
type pairs [8]string

// appendTo appends the headers, each with its value after it.
func (r *Request) appendTo(pairs []string) []string {
	if r.HasVersion {
		pairs = append(pairs, Version, r.Version.String())
	}
	if r.Report {
		pairs = append(pairs, Report, yes)
	}
	if r.Missed > 0 {
		pairs = append(pairs, Missed, strings.Replace(r.Missed.String(), "µ", "u", 1)) // metadata is ASCII
	}
	for _, n := range [...]struct{ key, value string }{{Exchange, r.Exchange}, {Topic, r.Topic}, {Server, r.Server}} {
		if n.value != "" {
			pairs = append(pairs, n.key, Escape(n.value))
		}
	}
	if r.Instance != "" {
		pairs = append(pairs, Instance, Escape(r.Instance))
	}
	if r.ID != "" {
		pairs = append(pairs, ID, Escape(r.ID))
	}
	if r.OrderKey != "" {
		pairs = append(pairs, OrderKey, Escape(r.OrderKey))
	}
	if r.Context != "" {
		pairs = append(pairs, Context, r.Context)
	}
	if r.Caller != "" {
		pairs = append(pairs, Caller, r.Caller)
	}
	return pairs
}

// Package header reads and writes the gRPC metadata of typed calls. A header is sent only for
// information that the path of the call and the options of its service do not imply, so most calls
// have none of these headers.
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

// These are the headers of a request. Names are percent-encoded, because metadata is ASCII.
const (
	// Version is the lowest version of the service that can serve the call, by default the .0 of
	// the service's major version.
	Version = "oslorpc-version"
	// Exchange is the scope of the topic. It is optional.
	Exchange = "oslorpc-exchange"
	// Topic is the topic of the service, by default the one in the service's options.
	Topic = "oslorpc-topic"
	// Server is the name of the server that must serve the call. It is optional.
	Server = "oslorpc-server"
	// Instance is the id of the instance that must serve the call. It is optional.
	Instance = "oslorpc-instance"
	// ID is the id of the message. Without it, a repeated message cannot be detected.
	ID = "oslorpc-id"
	// Context is the request context, as JSON text.
	Context = "oslorpc-context-bin"
	// Missed is how long ago the sender last failed to deliver a message to the server, as a Go
	// duration. It has an effect only together with ID.
	Missed = "oslorpc-missed"
	// OrderKey makes messages with the same key run one after the other. It has an effect only
	// together with ID.
	OrderKey = "oslorpc-order-key"
	// Caller is the original caller, as an encoded Caller of the protocol, if a gateway sends the
	// message.
	Caller = "oslorpc-caller-bin"
	// Report asks which versions the server implements.
	Report = "oslorpc-report"
)

// Implemented is the trailer that answers Report: versions, separated by commas.
const Implemented = "oslorpc-implemented"

// yes is the value of headers whose presence alone has a meaning.
const yes = "1"

// Request has the headers of a request. An empty string means that the header is absent.
type Request struct {
	// Version is valid if HasVersion is true.
	Version                 rpc.Version
	HasVersion              bool
	Exchange, Topic, Server string
	Instance, ID, Context   string
	OrderKey, Caller        string
	Report                  bool
	Missed                  time.Duration
}

// Read returns the headers of a request, except Report. An error names the malformed header;
// callers add the kind.
//
// Looking up an absent header costs as much as scanning all headers. So some headers are looked up
// only where they have an effect: OrderKey and Missed need an id.
func Read(ctx context.Context) (Request, error) { return Of(ctx).Read() }

// Of returns the headers of the RPC that is served with ctx.
func Of(ctx context.Context) Headers { return Headers{ctx: ctx} }

// Arrived is Of, but returns the headers that [Arrive] put into ctx, if it was called. Use it if no
// code has changed the headers in ctx since then. Reading them takes a tenth of the time.
func Arrived(ctx context.Context) Headers {
	arrived, _ := ctx.Value(arrivedKey{}).(metadata.MD)
	return Headers{ctx, arrived}
}

type arrivedKey struct{}

// Arrive returns a context with the headers of a received RPC of a typed service, for [Arrived].
func Arrive(ctx context.Context, md metadata.MD) context.Context {
	return context.WithValue(ctx, arrivedKey{}, md)
}

// Headers are the headers of a served request.
type Headers struct {
	ctx     context.Context //nolint:containedctx // It has the headers.
	arrived metadata.MD     // the headers from Arrive; nil if they must be read from ctx
}

// UserAgent returns the name that the peer gives itself, or an empty string.
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

// Read returns the headers; see the function Read.
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

// scope returns the headers by which proxies route: exchange, topic and server.
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

// WantsReport reports whether a request asks which versions the server implements.
func WantsReport(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, Report)) > 0
}

// escaped returns the value of a percent-encoded header, or an empty string if it is absent.
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

// single returns the value of a header, or an empty string if it is absent. An empty value is an
// error, because only a mistake explains it. Two values are an error, because it is unclear which
// counts.
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

// prefix is the prefix of the names of all headers of this library.
const prefix = "oslorpc-"

// Authorization is the header with a bearer token. It belongs to the program, unless the transport
// sends a token with each RPC, or verifies the tokens of its clients.
const Authorization = "authorization"

// isOurs reports whether the name of a header is reserved for this library. Programs must not set
// such headers.
func isOurs(name string) bool { return strings.HasPrefix(name, prefix) }

// IsPlain reports whether a program may set metadata with this name and these values, and gRPC
// sends it unchanged.
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

// Write returns a context whose calls have the headers of r, and no other headers of this library.
// It removes any others, because a handler may pass on the metadata of the request that it serves,
// whose headers describe that request.
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

// Amend is Write for a call that may already have headers of this library, because a client of
// oslorpc makes it. Headers that r lacks stay, except Version and Report. Unless [Complete] marked
// ctx, Amend also removes the headers that are about a single message.
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

// Complete marks a context whose headers Write has written, for [Amend].
func Complete(ctx context.Context) context.Context {
	return context.WithValue(ctx, completeKey{}, true)
}

// Outgoing returns the metadata that a program adds to its calls, without the headers of this
// library. It returns nil if there is none. The caller may change the result.
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

// Size returns the size of a program's metadata in a header list, in bytes as HTTP/2 counts them.
// It leaves out the headers of this library.
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

// FieldSize returns the size of one header in a header list: 32 bytes plus its name and its value,
// which is in base64 if it is binary.
func FieldSize(key, value string) int {
	n := len(value)
	if strings.HasSuffix(key, "-bin") {
		n = base64.RawStdEncoding.EncodedLen(n)
	}
	return len(key) + n + 32
}

// pairs has room for the names and values of the headers of most calls.
type pairs [8]string

// appendTo appends the name and the value of each header.
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

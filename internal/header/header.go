// Package header is the metadata that typed calls carry: their names, and how what they say is written and read. A typed call sends
// only what its path and the options of its service do not imply, so most have no header at all.
package header

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The headers of a request. Names are percent-encoded, because metadata is ASCII.
const (
	// Version is the lowest version of the service that can serve the call. Absent: the .0 of the service's major version.
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
	// Missed is how long ago a message to the server could not be delivered, as a Go duration; it counts beside an id. Absent: none.
	Missed = "oslorpc-missed"
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
	Report                  bool
	Missed                  time.Duration
}

// name is a header whose value is a text.
type name struct {
	key   string
	value *string
}

// scope are the headers that say who is meant where no instance is chosen.
func (r *Request) scope() [3]name {
	return [3]name{{Exchange, &r.Exchange}, {Topic, &r.Topic}, {Server, &r.Server}}
}

// Read returns what the headers of a request say, but for Report. The error names the header that is malformed; who asks makes it one
// of his kind.
//
// To ask for a header that is not there costs as much as to look at all that are. So some are looked for only where they matter: an
// instance says all of who is meant, and only a message with an id can tell of another.
func Read(ctx context.Context) (r Request, err error) {
	if r.Instance, err = escaped(ctx, Instance); err != nil {
		return Request{}, err
	}
	if r.Instance == "" {
		for _, n := range r.scope() {
			if *n.value, err = escaped(ctx, n.key); err != nil {
				return Request{}, err
			}
		}
	}
	if r.ID, err = escaped(ctx, ID); err != nil {
		return Request{}, err
	}
	if r.ID != "" {
		if r.Missed, err = missed(ctx); err != nil {
			return Request{}, err
		}
	}
	if err = r.readVersion(ctx); err != nil {
		return Request{}, err
	}
	r.Context, err = single(ctx, Context)
	return r, err
}

func (r *Request) readVersion(ctx context.Context) error {
	text, err := single(ctx, Version)
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
func escaped(ctx context.Context, key string) (string, error) {
	text, err := single(ctx, key)
	if err != nil || text == "" {
		return "", err
	}
	if text, err = Unescape(text); err != nil {
		return "", fmt.Errorf("the header %s: %w", key, err)
	}
	return text, nil
}

func missed(ctx context.Context) (time.Duration, error) {
	text, err := single(ctx, Missed)
	if err != nil || text == "" {
		return 0, err
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		return 0, fmt.Errorf("the header %s: %.64q is not a duration such as 1.5s", Missed, text)
	}
	return ago, nil
}

// single returns the value of a header, empty if it is absent. An empty value can only be a mistake of the caller, and of two it is
// not known which counts.
func single(ctx context.Context, key string) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, key)
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

// Write returns a context whose calls carry the headers. Version and Report are as r says, whatever the context had, such as the
// headers of a request that a proxy passes on; the others are left as they are if r does not say.
func Write(ctx context.Context, r *Request) context.Context {
	pairs := r.pairs()
	if !clash(ctx, pairs) {
		if len(pairs) == 0 {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, pairs...)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md.Delete(Version)
	md.Delete(Report)
	for i := 0; i < len(pairs); i += 2 {
		md.Set(pairs[i], pairs[i+1])
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// pairs returns the headers, each with its value after it.
func (r *Request) pairs() []string {
	pairs := make([]string, 0, 8) // as many as a call mostly has
	if r.HasVersion {
		pairs = append(pairs, Version, r.Version.String())
	}
	if r.Report {
		pairs = append(pairs, Report, yes)
	}
	if r.Missed > 0 {
		pairs = append(pairs, Missed, strings.Replace(r.Missed.String(), "µ", "u", 1)) // metadata is ASCII
	}
	for _, n := range r.scope() {
		if *n.value != "" {
			pairs = append(pairs, n.key, Escape(*n.value))
		}
	}
	if r.Instance != "" {
		pairs = append(pairs, Instance, Escape(r.Instance))
	}
	if r.ID != "" {
		pairs = append(pairs, ID, Escape(r.ID))
	}
	if r.Context != "" {
		pairs = append(pairs, Context, r.Context)
	}
	return pairs
}

// clash reports whether a context has headers that are to be replaced or removed.
func clash(ctx context.Context, pairs []string) bool {
	has := func(key string) bool { return len(metadata.ValueFromOutgoingContext(ctx, key)) > 0 }
	if has(Version) || has(Report) {
		return true
	}
	for i := 0; i < len(pairs); i += 2 {
		if has(pairs[i]) {
			return true
		}
	}
	return false
}

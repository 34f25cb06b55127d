package registry

import (
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config is what a transport passes to the registry that it opens.
type Config struct {
	// Exchange is the default exchange of the transport.
	Exchange string
	// Log receives messages about events that no caller gets as an error. [Open] replaces nil by
	// slog.Default.
	Log *slog.Logger
}

// Opener opens the registry of a transport URL. The URL has its scheme in lower case, and lacks the
// parameters that every scheme accepts, such as exchange. An Opener must not connect to anything
// yet. Its error must not repeat a password. An error that is not an [rpc.Error] gets the kind
// [rpc.Invalid].
type Opener func(url string, c Config) (Registry, error)

var (
	openersMu sync.RWMutex
	openers   = map[string]Opener{}
)

// schemes are the schemes that RFC 3986 allows, in lower case.
var schemes = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// Register registers a scheme of transport URLs, such as "consul". The package of a registry calls
// it from its init function, so that a program selects the registry by importing the package.
// Register panics if the scheme is malformed or already registered, because that is a mistake in
// the program.
func Register(scheme string, open Opener) {
	openersMu.Lock()
	defer openersMu.Unlock()
	switch {
	case open == nil:
		panic("registry: Register of " + scheme + ":// without a function")
	case !schemes.MatchString(scheme):
		panic(fmt.Sprintf("registry: Register of the scheme %q: write lower-case letters, digits, and +.-", scheme))
	case openers[scheme] != nil:
		panic("registry: Register of " + scheme + ":// twice: two packages of the program have it")
	}
	openers[scheme] = open
}

// Schemes returns the schemes that the program can open, sorted.
func Schemes() []string {
	openersMu.RLock()
	defer openersMu.RUnlock()
	return slices.Sorted(maps.Keys(openers))
}

// Open opens the registry of a transport URL. All its errors are of type [*rpc.Error]. Programs
// call oslorpc.Open, which calls it. Tests of a registry may call it directly.
func Open(url string, c Config) (Registry, error) {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		return nil, invalid(nil, "transport URL %q has no scheme: write local://, consul://host:8500, gateway://host:8600, static://topic=host:port or memory://name", url)
	}
	scheme = strings.ToLower(scheme)
	openersMu.RLock()
	open := openers[scheme]
	openersMu.RUnlock()
	if open == nil {
		return nil, unknown(scheme)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	r, err := open(scheme+"://"+rest, c)
	switch {
	case err == nil && r == nil:
		return nil, invalid(nil, "transport URL with %s://: its registry returned neither a registry nor an error", scheme)
	case err == nil:
		return r, nil
	}
	if _, is := err.(*rpc.Error); !is { //nolint:errorlint // a wrapped one would lose what wraps it
		err = invalid(err, "transport URL with %s://: %v", scheme, err)
	}
	return nil, err
}

// modules maps the schemes of this module's own registries to the package that a program must
// import.
var modules = map[string]string{
	"consul": "github.com/oslorpc/oslorpc/pkg/registry/consul",
}

// brokers are the schemes of message brokers in OpenStack's configuration.
var brokers = []string{"amqp", "amqps", "kafka", "kombu", "nats", "rabbit", "zmq"}

// unknown returns the error for a scheme that the program cannot open, with advice.
func unknown(scheme string) error {
	if path, known := modules[scheme]; known {
		return invalid(nil, "%s:// needs import _ %q: add it to the program, which then links the registry", scheme, path)
	}
	known := strings.Join(Schemes(), ", ")
	if base, _, _ := strings.Cut(scheme, "+"); slices.Contains(brokers, base) {
		return invalid(nil, "transport URL has the unknown scheme %q: there is no broker; write consul://host:8500 where %s:// was; known are %s",
			scheme, scheme, known)
	}
	return invalid(nil, "transport URL has the unknown scheme %q: known are %s; a registry of another kind is a package to import, "+
		"which calls registry.Register", scheme, known)
}

func invalid(cause error, format string, args ...any) error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Cause: cause, Message: fmt.Sprintf(format, args...)}
}

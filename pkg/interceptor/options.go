package interceptor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// ClientOption changes what [UnaryClient] and [StreamClient] do.
type ClientOption interface{ applyClient(*client) }

// ServerOption changes what [UnaryServer] and [StreamServer] do.
type ServerOption interface{ applyServer(*server) }

// TargetOption is an option of clients and servers.
type TargetOption interface {
	ClientOption
	ServerOption
}

type clientOption func(*client)

func (o clientOption) applyClient(c *client) { o(c) }

type serverOption func(*server)

func (o serverOption) applyServer(s *server) { o(s) }

// WithVersionCap sends nothing that a server of this version could not serve: "1.1", or a name of
// [WithVersionAliases]. What the options allow to be dropped is dropped; a message that needs more
// all the same fails with [rpc.VersionCapExceeded], before any network use. The empty string is no
// cap.
//
// A cap has a major version, and forbids the services of every other one: use a connection for each
// if their caps differ. The cap "auto" of oslorpc's own clients follows the fleet, of which
// interceptors know nothing; it is a mistake here.
func WithVersionCap(version string) ClientOption {
	return clientOption(func(c *client) { c.capText = version })
}

// WithVersionAliases names versions for [WithVersionCap], as the releases of a program: {"epoxy":
// "1.4"}. It adds to the aliases that are there.
func WithVersionAliases(versions map[string]string) ClientOption {
	versions = maps.Clone(versions)
	return clientOption(func(c *client) {
		if c.aliases == nil {
			c.aliases = make(map[string]string, len(versions))
		}
		maps.Copy(c.aliases, versions)
	})
}

// WithReport asks servers with interceptors for what they implement, and has tell called with the
// answer of each call, and of each stream at its end. Refusals say it as well. It is called on the
// goroutine of the call, by several at once; it must not block. A server without interceptors says
// nothing, and is not told of.
func WithReport(tell func(Report)) ClientOption {
	return clientOption(func(c *client) { c.report = tell })
}

type targetOption rpc.Target

func (o targetOption) applyClient(c *client) { c.target = rpc.Target(o) }
func (o targetOption) applyServer(s *server) { s.target = rpc.Target(o) }

// WithTarget says, to a client, which exchange, topic and server its calls are meant for. They are
// carried where the options of the service do not say the same.
//
// To a server it says who it is: a request that is meant for another exchange, topic or server is
// refused. The topic of a request that carries none is the topic in the service's options. What the
// target does not give is not compared.
//
// Namespace and version are in the options of each service, and a fanout needs a fleet: to give one
// is a mistake.
func WithTarget(target rpc.Target) TargetOption { return targetOption(target) }

// Implementation is an interface that a server implements.
type Implementation struct {
	// Namespace is the namespace in the service's options; empty for the default namespace.
	Namespace string
	// Version serves calls of the same major version and no later minor one, such as "1.4".
	Version string
}

// WithImplemented says what a server implements, instead of the version in the options of each
// service. It is a table of everything: namespaces that are not in it are refused. A namespace may
// be there with several major versions.
func WithImplemented(table ...Implementation) ServerOption {
	table = slices.Clone(table)
	return serverOption(func(s *server) { s.table, s.hasTable = table, true })
}

// auto is the cap that follows the fleet.
const auto = "auto"

// parseCap reads a cap, and the name of one first.
func parseCap(text string, aliases map[string]string) (limit, error) {
	if _, ok := aliases[auto]; ok || text == auto {
		return limit{}, mistake(`the cap "auto" follows the fleet, which an interceptor does not know: ` +
			`give a version or the name of one, or use oslorpc's own client`)
	}
	for name, version := range aliases {
		if _, err := rpc.ParseVersion(version); err != nil || name == "" {
			return limit{}, mistake("the version alias %q: %q is not the name of a version such as 1.4", name, version)
		}
	}
	if text == "" {
		return limit{}, nil
	}
	if version, ok := aliases[text]; ok {
		v, err := rpc.ParseVersion(version)
		return limit{set: true, version: v, words: fmt.Sprintf("the cap %s (%s)", text, v)}, err
	}
	v, err := rpc.ParseVersion(text)
	if err != nil {
		return limit{}, mistake("the version cap %q is neither a version such as 1.4 nor an alias, of which there are %s", text, names(aliases))
	}
	return limit{set: true, version: v, words: "the cap " + v.String()}, nil
}

func names(aliases map[string]string) string {
	if len(aliases) == 0 {
		return "none: name versions with WithVersionAliases"
	}
	return strings.Join(slices.Sorted(maps.Keys(aliases)), ", ")
}

// checkTarget reports what a target of WithTarget cannot have.
func checkTarget(t rpc.Target) error {
	if t.Namespace != "" || t.Version != "" || t.Fanout {
		return mistake("WithTarget takes exchange, topic and server, and not %s: the options of a service have its namespace and version, "+
			"and a fanout needs a fleet", t)
	}
	if err := t.Validate(); err != nil {
		return mistake("WithTarget: %v", err)
	}
	return nil
}

// mistake is the error for options that cannot be.
func mistake(format string, args ...any) *rpc.Error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "interceptor: " + fmt.Sprintf(format, args...)}
}

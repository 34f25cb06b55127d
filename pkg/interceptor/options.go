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

// WithVersionCap limits messages to what a server of this version can serve. The version is a text
// such as "1.1", or a name from [WithVersionAliases]. The client drops the fields that the
// service's options allow it to drop. A message that still needs more fails with
// [rpc.VersionCapExceeded], before any network use. The empty string is no cap.
//
// A cap has one major version, and forbids services of every other major version. If services need
// different caps, use a connection for each. The cap "auto" of oslorpc's own clients is an error
// here, because interceptors do not know the servers of the fleet.
func WithVersionCap(version string) ClientOption {
	return clientOption(func(c *client) { c.capText = version })
}

// WithVersionAliases gives names to versions for [WithVersionCap], such as the releases of a
// program: {"epoxy": "1.4"}. It adds to earlier aliases.
func WithVersionAliases(versions map[string]string) ClientOption {
	versions = maps.Clone(versions)
	return clientOption(func(c *client) {
		if c.aliases == nil {
			c.aliases = make(map[string]string, len(versions))
		}
		maps.Copy(c.aliases, versions)
	})
}

// WithReport asks servers that use this package what they implement. It calls tell after each call
// and each stream, including refused ones. Tell is called on the goroutine of the call, possibly
// concurrently, and must not block. It is not called for other servers.
func WithReport(tell func(Report)) ClientOption {
	return clientOption(func(c *client) { c.report = tell })
}

type targetOption rpc.Target

func (o targetOption) applyClient(c *client) { c.target = rpc.Target(o) }
func (o targetOption) applyServer(s *server) { s.target = rpc.Target(o) }

// WithTarget sets, for a client, the exchange, topic and server that its calls request. The client
// sends them as headers, except a topic that is already in the service's options.
//
// For a server, it sets the server's own names: a request for another exchange, topic or server is
// refused. A request without a topic means the topic in the service's options. Fields that the
// target does not set are not compared.
//
// A target with a namespace, a version or fanout is an error. Namespace and version are in the
// options of each service, and interceptors cannot send a fanout.
func WithTarget(target rpc.Target) TargetOption { return targetOption(target) }

// Implementation is an interface that a server implements.
type Implementation struct {
	// Namespace is the namespace in the service's options; empty for the default namespace.
	Namespace string
	// Version is the implemented version, such as "1.4". It serves calls of the same major version
	// and the same or an earlier minor version.
	Version string
}

// WithImplemented sets what a server implements, in place of the versions in the options of the
// services. The table must be complete: other namespaces are refused. A namespace may have several
// major versions.
func WithImplemented(table ...Implementation) ServerOption {
	table = slices.Clone(table)
	return serverOption(func(s *server) { s.table, s.hasTable = table, true })
}

// auto is the cap that follows the fleet.
const auto = "auto"

// parseCap reads a cap. Aliases have precedence over versions.
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

// checkTarget returns an error for a field that WithTarget does not accept.
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

// mistake returns the error for invalid options.
func mistake(format string, args ...any) *rpc.Error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "interceptor: " + fmt.Sprintf(format, args...)}
}

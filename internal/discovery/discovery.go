// Package discovery says how processes learn of each other: what an instance is, and what a
// registry of them must do. The registries themselves are its subpackages: consul, local, memory
// and static.
package discovery

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The vocabulary of package rpc that registries speak. An instance is immutable once it is handed
// over.
type (
	// Instance is one server in one process; see [rpc.Instance].
	Instance = rpc.Instance
	// Implementation is an interface that an instance offers; see [rpc.Implementation].
	Implementation = rpc.Implementation
	// State says which messages an instance takes; see [rpc.State].
	State = rpc.State
)

// The states that registries hold; see package rpc.
const (
	Active   = rpc.StateActive
	Held     = rpc.StateHeld
	Draining = rpc.StateDraining
)

// FormatImplementation returns "namespace=version", with a percent-encoded namespace.
func FormatImplementation(i Implementation) string {
	return url.QueryEscape(i.Namespace) + "=" + i.Version.String()
}

// ParseImplementation reads what FormatImplementation wrote.
func ParseImplementation(s string) (Implementation, error) {
	namespace, version, found := strings.Cut(s, "=")
	if !found {
		return Implementation{}, fmt.Errorf(`implementation %q is not of the form "namespace=version"`, s)
	}
	ns, err := url.QueryUnescape(namespace)
	if err != nil {
		return Implementation{}, fmt.Errorf("implementation %q: %w", s, err)
	}
	v, err := rpc.ParseVersion(version)
	if err != nil {
		return Implementation{}, fmt.Errorf("implementation %q: %w", s, err)
	}
	return Implementation{Namespace: ns, Version: v}, nil
}

// Topic is what a client watches: a topic within its exchange.
type Topic struct {
	Exchange, Name string
}

// Update is what a registry knows about a topic at a moment.
type Update struct {
	// Instances is the whole list, in no order. Each watcher gets a slice of its own.
	Instances []Instance
	// Reset is true if the registry seems to have lost its data since the last update, so that an
	// instance's absence says nothing.
	Reset bool
	// Err is why the registry cannot be read; then Instances says nothing, and the last list holds.
	// The watch goes on and reports again.
	Err error
}

// Registry tells processes of each other. All methods are safe for concurrent use.
type Registry interface {
	// Publish makes these the instances of this process that others see, in place of those
	// published before; none withdraws all. They have one BootID and one Addr. It returns when the
	// registry has taken them, or when ctx ends, and keeps them alive from then on, through outages
	// of the registry too, until the next Publish or Close.
	Publish(ctx context.Context, instances []Instance) error

	// Watch calls notify with the instances of a topic, once as soon as they are known and then at
	// each change, and with each change between knowing and an error. It never calls notify
	// concurrently with itself. When stop returns, notify is not running and is not called again;
	// stop must not be called from within notify.
	Watch(topic Topic, notify func(Update)) (stop func())

	// List returns all instances of all topics in all exchanges, read now.
	List(ctx context.Context) ([]Instance, error)

	// Close withdraws what was published and ends all watches. It ends when ctx does, at the
	// latest; an error says that the withdrawal is not known to have succeeded, and everything else
	// is done all the same: what was published is not kept alive any more. The other methods must
	// not be called after it.
	Close(ctx context.Context) error
}

// Checker is implemented by registries that do not take every instance.
type Checker interface {
	// Check returns why Publish would refuse an instance, whatever else is published; nil if it
	// would not. It sends no request.
	Check(i Instance) error
}

// Elsewhere is implemented by registries whose watches may be of another place than the one
// published in.
type Elsewhere interface {
	// Elsewhere reports whether that is so, or cannot be told.
	Elsewhere() bool
}

// Private is implemented by registries whose programs run on one machine, and share a directory
// that other users cannot enter.
type Private interface {
	// Socket returns a path in that directory that no file has, for a Unix socket to listen on. The
	// registry removes sockets of programs that died.
	Socket() (path string, err error)
}

// Polled is implemented by registries whose watches look for changes now and then, or pause between
// two, each process at times of its own.
type Polled interface {
	// Lag is how long after a Publish the last watch of another process is told, on a topic with so
	// many instances, unless something is out of order.
	Lag(instances int) time.Duration
}

// Lapser is implemented by registries in which what was published can be gone for a while without
// its process having withdrawn it.
type Lapser interface {
	// Lapses has notify called after each such while, when the registration is back: others may not
	// have sent to this process in between. The reason is for people. Notify must not wait for
	// anything, nor call the registry. Lapses must be called before Publish.
	Lapses(notify func(reason string))
}

// Sort orders instances by exchange, topic, server and id, for people and for comparing.
func Sort(instances []Instance) {
	slices.SortFunc(instances, func(a, b Instance) int {
		for _, pair := range [4][2]string{{a.Exchange, b.Exchange}, {a.Topic, b.Topic}, {a.Server, b.Server}, {a.ID, b.ID}} {
			if c := strings.Compare(pair[0], pair[1]); c != 0 {
				return c
			}
		}
		return strings.Compare(a.Addr, b.Addr)
	})
}

// Same reports whether two sorted lists say the same.
func Same(a, b []Instance) bool { return slices.EqualFunc(a, b, Instance.Equal) }

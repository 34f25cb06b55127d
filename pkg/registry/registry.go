package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Topic identifies a topic within its exchange. Clients watch topics.
type Topic struct {
	// Exchange and Name are never empty.
	Exchange, Name string
}

// Update is the state of a topic, as a registry reports it to a watch.
type Update struct {
	// Instances is the whole list, in no particular order. Each watcher gets its own slice.
	Instances []rpc.Instance
	// Reset is true if the registry seems to have lost its data since the last update. An instance
	// that is missing may then still run.
	Reset bool
	// Err is the reason why the registry cannot be read, or nil. If it is not nil, ignore
	// Instances: the previous list stays valid. The watch continues, and reports when the registry
	// can be read again.
	Err error
}

// Registry lets processes publish their instances and find the instances of others. All methods are
// safe for concurrent use.
type Registry interface {
	// Publish replaces the instances of this process that others see. An empty list withdraws all.
	// The instances have the same BootID and Addr. Publish returns when the registry has stored
	// them, or when ctx ends. From then on it keeps them alive, also through outages of the
	// registry, until the next Publish or Close. A registry that learns the servers in another way,
	// such as static:// from its URL, stores nothing and implements [Elsewhere].
	Publish(ctx context.Context, instances []rpc.Instance) error

	// Watch calls notify with the instances of a topic as soon as they are known, and then at each
	// change. It also calls notify when the registry becomes unreadable, and when it can be read
	// again. Notify is never called concurrently with itself. When stop returns, notify is not
	// running and is not called again. Stop must not be called from within notify.
	Watch(topic Topic, notify func(Update)) (stop func())

	// List reads and returns the current instances of all topics in all exchanges.
	List(ctx context.Context) ([]rpc.Instance, error)

	// Close withdraws the published instances and ends all watches. It returns at the latest when
	// ctx ends. An error means that the withdrawal may have failed. Even then, the watches have
	// ended and the instances are no longer kept alive. The other methods must not be called
	// afterwards.
	Close(ctx context.Context) error
}

// Checker is implemented by registries that accept only some instances.
type Checker interface {
	// Check returns the error with which Publish would refuse an instance, independent of other
	// instances. It returns nil if Publish would accept it. It sends no request.
	Check(i rpc.Instance) error
}

// Elsewhere is implemented by registries that may not see what they publish: they watch another
// place, such as another datacenter, or publish nothing.
type Elsewhere interface {
	// Elsewhere reports whether watches may not show the instances that Publish stored.
	Elsewhere() bool
}

// Private is implemented by registries whose programs run on one machine and share a directory that
// other users cannot enter.
type Private interface {
	// Socket returns an unused path in that directory, for a Unix socket to listen on. The registry
	// removes sockets of programs that died.
	Socket() (path string, err error)
}

// Polled is implemented by registries whose watches report changes with a delay, because they poll
// or pause between changes. Processes do not poll at the same time.
type Polled interface {
	// Lag returns the maximum time from a Publish until all watches of other processes have
	// reported it, on a topic with this number of instances, in normal operation.
	Lag(instances int) time.Duration
}

// Lapser is implemented by registries that can lose published instances for a while although their
// process did not withdraw them.
type Lapser interface {
	// Lapses sets the function that the registry calls each time the registration is back after
	// such a lapse. In between, other processes may not have found this process. The reason is text
	// for people. Notify must not block and must not call the registry. Lapses must be called
	// before Publish.
	Lapses(notify func(reason string))
}

// Sort orders instances by exchange, topic, server and id, for display and for comparison.
func Sort(instances []rpc.Instance) {
	slices.SortFunc(instances, func(a, b rpc.Instance) int {
		for _, pair := range [4][2]string{{a.Exchange, b.Exchange}, {a.Topic, b.Topic}, {a.Server, b.Server}, {a.ID, b.ID}} {
			if c := strings.Compare(pair[0], pair[1]); c != 0 {
				return c
			}
		}
		return strings.Compare(a.Addr, b.Addr)
	})
}

// Same reports whether two sorted lists are equal.
func Same(a, b []rpc.Instance) bool { return slices.EqualFunc(a, b, rpc.Instance.Equal) }

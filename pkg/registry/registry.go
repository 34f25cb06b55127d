package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Topic is what a client watches: a topic within its exchange.
type Topic struct {
	// Exchange and Name are never empty.
	Exchange, Name string
}

// Update is what a registry knows about a topic at a moment.
type Update struct {
	// Instances is the whole list, in no order. Each watcher gets a slice of its own.
	Instances []rpc.Instance
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
	Publish(ctx context.Context, instances []rpc.Instance) error

	// Watch calls notify with the instances of a topic, once as soon as they are known and then at
	// each change, and with each change between knowing and an error. It never calls notify
	// concurrently with itself. When stop returns, notify is not running and is not called again;
	// stop must not be called from within notify.
	Watch(topic Topic, notify func(Update)) (stop func())

	// List returns all instances of all topics in all exchanges, read now.
	List(ctx context.Context) ([]rpc.Instance, error)

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
	Check(i rpc.Instance) error
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

// Same reports whether two sorted lists say the same.
func Same(a, b []rpc.Instance) bool { return slices.EqualFunc(a, b, rpc.Instance.Equal) }

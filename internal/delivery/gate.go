package delivery

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// parallel bounds how many connections a message for all servers begins to make at a time, and
	// maxConnecting how many it makes in all, with those that take longer than usual. Connections
	// that are made on a machine that is busy with others take longer, too: without the bound, none
	// would be ready in time.
	parallel      = 64
	maxConnecting = 256
	// maxSending bounds, in bytes, how much of a message for all servers is on its way at a time.
	maxSending = 256 << 20
	// sendingTime is how long a message may count as on its way. One that is not answered by then
	// has been read, or its receiver hangs; others must not wait for that.
	sendingTime = 2 * time.Second
)

// gate bounds what a message for all servers does at a time. It does not bound how many servers the
// message waits for: some may be hung, and must not keep it from the others.
type gate struct {
	beginning, connecting chan struct{}

	crowded bool                // there are more receivers than it begins to connect to at a time
	sending *semaphore.Weighted // nil if all that is to be sent fits
	size    int64               // of the message
}

func newGate(size, receivers int) *gate {
	g := &gate{
		beginning: make(chan struct{}, parallel), connecting: make(chan struct{}, maxConnecting),
		crowded: receivers > parallel, size: min(int64(size), maxSending),
	}
	if int64(size)*int64(receivers) > maxSending {
		g.sending = semaphore.NewWeighted(maxSending)
	}
	return g
}

// connect connects to an instance, if need be. One that takes longer than usual makes room for
// others that begin, and one that takes much longer goes on by itself. It reports whether it had to
// connect to an instance that was not tried before.
func (g *gate) connect(ctx context.Context, e *route.Entry) (first bool) {
	h := e.Link.Health()
	if h.Connected() || h == carrier.Silent || !take(ctx, g.connecting) {
		return false
	}
	defer func() { <-g.connecting }()
	if !take(ctx, g.beginning) {
		return false
	}
	err := connectWithin(ctx, e, patience)
	<-g.beginning
	if err != nil && e.Link.Health() == carrier.Connecting {
		_ = connectWithin(ctx, e, connectBudget) // sending says what is wrong
	}
	return h == carrier.Idle
}

// reconnect connects once more to an instance that was not tried before and was not reached, and
// reports whether it did. That it was not connected in time while this process was making many
// connections says little about the instance. Err is why it was not reached.
func (g *gate) reconnect(ctx context.Context, e *route.Entry, err error) bool {
	if !g.crowded || rpc.KindOf(err) != rpc.Unreachable || !rpc.SafeToRetry(err) || e.Link.Absent() || !take(ctx, g.connecting) {
		return false
	}
	defer func() { <-g.connecting }()
	return connectWithin(ctx, e, connectBudget) == nil
}

func connectWithin(ctx context.Context, e *route.Entry, budget time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	return e.Link.Connect(ctx)
}

// take takes a place, and reports whether it has one: ctx may end before.
func take(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter waits until the message may be sent once more, and returns what to call when it was
// answered.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	if g.sending == nil {
		return func() {}, nil
	}
	if err := g.sending.Acquire(ctx, g.size); err != nil {
		return nil, gaveUp(ctx, nil)
	}
	once := sync.OnceFunc(func() { g.sending.Release(g.size) })
	late := time.AfterFunc(sendingTime, once)
	return func() {
		late.Stop()
		once()
	}, nil
}

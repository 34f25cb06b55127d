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
	// parallel bounds how many connections a message for all servers begins at a time, for up to
	// the time patience each. maxConnecting also counts slower connections that are still being
	// made. Many connections at once on a busy machine slow each other down so much that none would
	// be ready in time.
	parallel      = 64
	maxConnecting = 256
	// maxSending bounds, in bytes, how much of a message for all servers is in transit at a time.
	maxSending = 256 << 20
	// sendingTime is how long a copy may count as in transit. If it has no answer by then, it was
	// read, or its receiver hangs; others must not wait for that.
	sendingTime = 2 * time.Second
)

// gate bounds how many connections a message for all servers makes at a time, and how many bytes it
// has in transit. It does not bound how many servers may be waited for at a time, because hung
// servers must not delay the copies for the others.
type gate struct {
	beginning, connecting chan struct{}

	crowded bool                // there are more receivers than parallel
	sending *semaphore.Weighted // nil if all copies together fit
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

// connect connects to an instance, if necessary. After the time patience, the next connection may
// begin; after connectBudget, connect returns, and the connection goes on in the background. First
// is true if connect began the first connection to the instance.
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
		_ = connectWithin(ctx, e, connectBudget) // if it fails, the attempt to send explains why
	}
	return h == carrier.Idle
}

// reconnect connects once more to an instance whose first connection failed with err, and reports
// whether it is connected. While this process makes many connections, a timeout says little about
// the instance.
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

// take takes a place. It returns false if ctx ends first.
func take(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter waits until another copy may be sent. Call leave when that copy was answered.
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

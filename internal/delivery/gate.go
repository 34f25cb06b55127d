package delivery

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/route"
)

const (
	// parallel bounds how many connections a message for all servers makes at a time.
	parallel = 64
	// maxSending bounds, in bytes, how much of a message for all servers is on its way at a time.
	maxSending = 256 << 20
	// sendingTime is how long a message may count as on its way. One that is not answered by then
	// has been read, or its receiver hangs; others must not wait for that.
	sendingTime = 2 * time.Second
)

// gate bounds what a message for all servers does at a time. It does not bound how many servers the
// message waits for: some may be hung, and must not keep it from the others.
type gate struct {
	connecting chan struct{}
	sending    *semaphore.Weighted // nil if all that is to be sent fits
	size       int64               // of the message
}

func newGate(size, receivers int) *gate {
	g := &gate{connecting: make(chan struct{}, parallel), size: min(int64(size), maxSending)}
	if int64(size)*int64(receivers) > maxSending {
		g.sending = semaphore.NewWeighted(maxSending)
	}
	return g
}

// connect begins to connect to an instance, if need be. One that takes longer than usual goes on
// by itself.
func (g *gate) connect(ctx context.Context, e *route.Entry) {
	if h := e.Link.Health(); h.Connected() || h == carrier.Silent {
		return
	}
	select {
	case g.connecting <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-g.connecting }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = e.Link.Connect(ctx) // sending says what is wrong
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

package delivery

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// parallel bounds how many instances a fanout sends to at a time.
const parallel = 64

// Result is what came of a fanout at one instance.
type Result struct {
	Entry *route.Entry
	// Skipped: the instance drains, or cannot serve the message; Err says which.
	Skipped bool
	// Err is nil if the message was accepted.
	Err error
}

// All delivers a message to every instance on the topic that is listed now, and returns what came of it at each. Its error
// means that nothing was sent, because the instances are not known.
func All(ctx context.Context, topic *fleet.Topic, m *Message, send Send) ([]Result, error) {
	a, err := Everybody(ctx, topic, m)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(a.Reached), len(a.Reached)+len(a.Skipped))
	each(len(a.Reached), func(i int) { results[i] = toOne(ctx, topic, m, a.Reached[i], a.variants(i), send) })
	results = slices.DeleteFunc(results, left)
	for i := range results {
		r := &results[i]
		if r.Err != nil && !r.Skipped && !isUnsendable(r.Err) {
			topic.Missed().Instance(r.Entry)
		}
		r.Err = At(r.Err, r.Entry)
	}
	return append(results, a.Skipped...), nil
}

// left reports whether an instance that is not listed any more says itself that it is not there: then it simply left.
func left(r Result) bool { return r.Entry.Lingering && rpcstatus.Gone(r.Err) }

// each calls do for 0 to n-1, some at a time.
func each(n int, do func(int)) {
	if n == 1 {
		do(0)
		return
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, parallel) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}

// toOne sends the first of the variants that an instance takes.
func toOne(ctx context.Context, topic *fleet.Topic, m *Message, e *route.Entry, variants []int, send Send) Result {
	var err error
	for _, variant := range variants {
		if err = persist(ctx, e, variant, send); err == nil {
			return Result{Entry: e}
		}
		if !isUnable(err) {
			break
		}
	}
	if rpcstatus.Gone(err) {
		topic.Gone(e)
	}
	return Result{Entry: e, Skipped: isUnable(err), Err: Name(err, m.Target, m.Method)}
}

// persist sends to one instance, again for a short while if it is full, or was not connected soon.
func persist(ctx context.Context, e *route.Entry, variant int, send Send) error {
	end := time.Now().Add(fullWait)
	var last error // but for one that only says that ctx ended
	for length := minPause; ; length *= 2 {
		awaitAnswer(ctx, e)
		err := sendTo(ctx, ctx, e, variant, send)
		late := time.Now().Add(length).After(end)
		switch {
		case ctx.Err() != nil && rpc.SafeToRetry(err):
			return gaveUp(ctx, cmp.Or(last, err))
		case isFull(err) && !late:
			pause(ctx, length)
		case !errors.Is(err, errPatience):
			return err
		}
		last = err
	}
}

// awaitAnswer waits while the peer of an instance is connected and does not answer. Nobody else can take the message, and it may
// be back in a moment.
func awaitAnswer(ctx context.Context, e *route.Entry) {
	if p := fleet.Peer(e); p.Health() == peer.Silent {
		_ = p.Connect(ctx) // sending says what is wrong
	}
}

func isFull(err error) bool {
	return rpc.KindOf(err) == rpc.Refused && rpc.SafeToRetry(err) && !rpcstatus.Gone(err) && !rpcstatus.Misled(err)
}

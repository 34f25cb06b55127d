package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Start begins an attempt without waiting for the answer. It returns a function that waits for the
// answer, or nil if it could not begin the attempt without waiting.
type Start func(ctx context.Context, a Attempt) Started

// Started waits for the outcome of an attempt. Ended is false if late was closed first. With a nil
// late, it waits until the attempt ends.
type Started func(late <-chan struct{}) (err error, ended bool)

// Answers are awaited one after the other for promptTime, plus promptEach for each instance. After
// that, each instance that has not answered gets a goroutine, so that none of them delays another's
// copy.
const promptTime, promptEach = 25 * time.Millisecond, 100 * time.Microsecond

// early is an attempt that was begun without waiting, by [Audience.begin].
type early struct {
	entry *route.Entry
	hint  fleet.Hint
	wait  Started // nil if it was not begun
}

// together begins the attempts that need no waiting, and then waits for their answers without a
// goroutine for each. For each other instance it calls deliver with the index of the instance, on a
// goroutine of sending.
func (a *Audience) together(ctx context.Context, sending *sync.WaitGroup, g *gate, results []Result, start Start, deliver func(int)) {
	begun := make([]early, len(a.Reached))
	for i, e := range a.Reached {
		if begun[i] = a.begin(ctx, g, e, a.variants(i), start); begun[i].wait == nil {
			sending.Go(func() { deliver(i) })
		}
	}
	end := func(i int, late <-chan struct{}) bool {
		err, ended := a.end(ctx, &begun[i], late)
		switch {
		case !ended:
			return false
		case !isEnd(err) && (isFull(err) || a.mayMove(a.Reached[i], err)): // it is retried for a while
			sending.Go(func() { deliver(i) })
		default:
			results[i] = a.conclude(a.Reached[i], err)
		}
		return true
	}
	late := make(chan struct{})
	timer := time.AfterFunc(promptTime+time.Duration(len(begun))*promptEach, func() { close(late) })
	defer timer.Stop()
	for i := range begun {
		if begun[i].wait != nil && !end(i, late) {
			sending.Go(func() { end(i, nil) })
		}
	}
}

// begin begins the first attempt at an instance, if it can do so without waiting.
func (a *Audience) begin(ctx context.Context, g *gate, e *route.Entry, variants []int, start Start) early {
	h := e.Link.Health()
	if start == nil || len(variants) != 1 || g.sending != nil || !h.Connected() || h == carrier.Silent || ctx.Err() != nil {
		return early{}
	}
	began := early{entry: e}
	if !a.message.Unanswered {
		began.hint = a.topic.Missed().Hint(e)
	}
	if e.Link.Enter(ctx, 0) != nil {
		return early{}
	}
	began.wait = start(ctx, Attempt{Entry: e, Variant: variants[0], Number: 1, Missed: began.hint.Ago})
	if began.wait == nil {
		e.Link.Release()
	}
	return began
}

// end waits for the end of an attempt that was begun. It returns the same errors as
// [Audience.persist].
func (a *Audience) end(ctx context.Context, began *early, late <-chan struct{}) (err error, ended bool) {
	if err, ended = began.wait(late); !ended {
		return nil, false
	}
	began.entry.Link.Release()
	began.hint.Settle(err)
	err = afterwards(began.entry, err)
	if ctx.Err() != nil && rpc.SafeToRetry(err) && !isEnd(err) {
		err = gaveUp(ctx, err)
	}
	return err, true
}

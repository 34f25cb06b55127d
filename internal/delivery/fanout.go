package delivery

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Result is the outcome, at one instance, of a message for all servers.
type Result struct {
	Entry *route.Entry
	// Skipped is true if the instance drains, or cannot serve the message. Err says which.
	Skipped bool
	// Err is nil if the instance answered. It is an *rpc.Error that names the message and the
	// instance.
	Err error
}

// All delivers a message to all instances of an audience at the same time, and returns the result
// at each of them. Start may be nil.
func All(ctx context.Context, a *Audience, send Send, start Start) []Result {
	results := make([]Result, len(a.Reached), len(a.Reached)+len(a.Others))
	g := newGate(a.message.Size, len(a.Reached))
	var sending sync.WaitGroup
	deliver := func(i int) {
		e := a.Reached[i]
		results[i] = Result{Entry: e, Err: exited()}
		results[i] = a.toOne(ctx, g, e, a.variants(i), send)
	}
	if len(a.Reached) == 1 {
		deliver(0)
	} else {
		a.together(ctx, &sending, g, results, start, deliver)
	}
	sending.Wait()
	results = slices.DeleteFunc(results, func(r Result) bool { return a.IsGone(r) })
	for i := range results {
		r := &results[i]
		if r.Err != nil && !r.Skipped && !isUnsendable(r.Err) {
			a.topic.Missed().Instance(r.Entry)
		}
		r.Err = a.about(r.Err, r.Entry)
	}
	return append(results, a.Others...)
}

// exited returns the error of a copy of the message whose goroutine ended early (runtime.Goexit),
// because an interceptor ended it.
func exited() error {
	return &rpc.Error{Kind: rpc.AccessDenied, Message: "an interceptor ended its goroutine (runtime.Goexit); the message may have been sent"}
}

// Denied returns the first server's error if servers denied a message and none accepted it. It
// returns nil if a server accepted it, or failed for another reason.
func Denied(results []Result) error {
	sent := slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Skipped })
	denied := func(r Result) bool { return rpc.KindOf(r.Err) == rpc.AccessDenied }
	if len(sent) == 0 || slices.ContainsFunc(sent, func(r Result) bool { return !denied(r) }) {
		return nil
	}
	return sent[0].Err
}

// left reports whether an unlisted instance no longer runs, according to the refusal. Then it
// simply left.
func left(r Result) bool { return r.Entry.Unlisted && refusal.Gone(r.Err) }

// replaced reports whether nothing listens at an instance's address while another instance has the
// same server name. Then the instance died, and discovery has not noticed yet.
func (a *Audience) replaced(r Result) bool {
	return rpc.KindOf(r.Err) == rpc.Unreachable && rpc.SafeToRetry(r.Err) && r.Entry.Link.Absent() && r.Entry.Server != "" &&
		slices.ContainsFunc(a.view.Entries(), func(e *route.Entry) bool {
			return e.Server == r.Entry.Server && e != r.Entry && !e.Unlisted && !e.Left && !e.Link.Absent()
		})
}

// IsGone reports whether the instance of a failed result no longer exists. Reports leave such
// instances out.
func (a *Audience) IsGone(r Result) bool { return left(r) || a.replaced(r) }

// about adds the message and the instance to an error.
func (a *Audience) about(err error, e *route.Entry) error {
	return failure.Name(At(err, e), a.message.Target, a.message.Method)
}

// toOne sends an instance the first variant that it can serve. The error of the result does not
// name the message or the instance yet.
func (a *Audience) toOne(ctx context.Context, g *gate, e *route.Entry, variants []int, send Send) Result {
	bounded := func(ctx context.Context, to Attempt) error {
		leave, err := g.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
		return send(ctx, to)
	}
	to := Attempt{Entry: e}
	err := a.toFirst(ctx, g, &to, variants, bounded)
	if now := a.moved(ctx, e, err); now != nil {
		to.Entry = now
		err = a.toFirst(ctx, g, &to, variants, bounded)
	}
	return a.conclude(to.Entry, err)
}

// toFirst sends the first variant that the instance of an attempt can serve.
func (a *Audience) toFirst(ctx context.Context, g *gate, to *Attempt, variants []int, send Send) (err error) {
	for _, to.Variant = range variants {
		first := g.connect(ctx, to.Entry)
		if err = a.persist(ctx, to, send); first && g.reconnect(ctx, to.Entry, err) {
			err = a.persist(ctx, to, send)
		}
		if err == nil || !isUnable(err) {
			break
		}
	}
	return err
}

// conclude returns the outcome of a message at an instance, and tells the topic what it says about
// the instance.
func (a *Audience) conclude(e *route.Entry, err error) Result {
	switch {
	case err == nil:
		a.topic.Proved(e)
	case isEnd(err):
	case misled(e, err):
		a.topic.Astray(e, err)
		err = strayed(e, err)
	case misplaced(e, err):
		err = displaced(e, err)
	case refusal.Gone(err):
		a.topic.Gone(e)
	case refusal.Unproven(err):
		a.topic.Unproven(e)
	}
	return Result{Entry: e, Skipped: isUnable(err), Err: err}
}

// persist sends to one instance. It retries briefly if the instance is full, or was not connected
// in time.
func (a *Audience) persist(ctx context.Context, to *Attempt, send Send) error {
	late := time.Now().Add(fullWait)
	var last error // why the last attempt failed before ctx ended
	for length := minPause; ; length *= 2 {
		awaitAnswer(ctx, to.Entry)
		err := a.message.hand(ctx, ctx, a.topic.Missed(), to, send)
		switch {
		case isEnd(err):
			return err
		case ctx.Err() != nil && rpc.SafeToRetry(err):
			return gaveUp(ctx, cmp.Or(last, err))
		case isFull(err) && !time.Now().Add(length).After(late):
			pause(ctx, length)
		case !errors.Is(err, errPatience):
			return err
		}
		last = err
	}
}

// awaitAnswer waits while the process of an instance is connected but silent. A copy for this
// instance cannot go to another one, and the process may soon answer again.
func awaitAnswer(ctx context.Context, e *route.Entry) {
	if e.Link.Health() == carrier.Silent {
		_ = e.Link.Connect(ctx) // if it fails, the attempt to send explains why
	}
}

func isFull(err error) bool {
	return rpc.KindOf(err) == rpc.Refused && rpc.SafeToRetry(err) && !refusal.Gone(err) && !refusal.Misled(err)
}

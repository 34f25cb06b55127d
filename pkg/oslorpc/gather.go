package oslorpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/delivery"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Reply is what came of a [Gather] at one server.
type Reply[R any] struct {
	// Instance is who replied, or did not.
	Instance Instance
	// Value is the result of the method; the zero R if there is an error.
	Value R
	// Skipped: the server's version, or lack of the method, does not let it run the message; the error says so.
	Skipped bool
	// Unlisted is as in [Delivery].
	Unlisted bool
	// Uncertain is as in [Report], and the same in all replies.
	Uncertain error
	// Expected is how many replies there are in all, errors among them: one for each server. It is 0 only with an error that is not about
	// one server.
	Expected int
}

// GatherOption changes how replies are gathered.
type GatherOption interface{ applyGather(*gathering) }

type gatherOption func(*gathering)

func (o gatherOption) applyGather(g *gathering) { o(g) }

// WithStall ends a [Gather] early: when no reply comes for d, those that are outstanding are canceled and yielded as
// errors of kind [Timeout]. The time that the range's body takes does not count. 0 or less, the default, is to wait until the deadline.
func WithStall(d time.Duration) GatherOption {
	return gatherOption(func(g *gathering) { g.stall = d })
}

// WithExpected tells who is expected to reply, in the order of the servers' names, before the message is sent to anybody.
// Those that are skipped are among them. It is called by the goroutine that ranges.
func WithExpected(tell func(expected []Instance)) GatherOption {
	return gatherOption(func(g *gathering) { g.tell = tell })
}

// Gather has every server on the topic run a method, all at the same time, and yields their replies as they come. Which servers these
// are is settled when the range begins, and each is yielded exactly once: with its result, or with an error that is about it,
// which does not end the rest. Servers whose version cannot serve the message are among them, as errors with Skipped. With
// nobody on the topic there are no replies, and that is no error. An error that is not about one server, such as a target
// that is mistaken or discovery that cannot be reached, has an Expected of 0, and is all there is.
//
// The sequence is lazy and can be used once, as that of [Multicall]. Breaking out of the range, with the first good reply, or
// as soon as there are enough, cancels what is outstanding, at the servers too. The server in the client's target is ignored. A held
// server replies when it is released, and draining ones are not asked.
//
// The deadline of the whole is the earlier of that of ctx and of [WithTimeout], or [DefaultCallTimeout]; those that are outstanding then
// are yielded as errors of kind [Timeout]. See also [WithStall].
func Gather[R any](ctx context.Context, c *Client, method string, args any, options ...GatherOption) iter.Seq2[Reply[R], error] {
	var used atomic.Bool
	return func(yield func(Reply[R], error) bool) {
		if used.Swap(true) {
			yield(Reply[R]{}, c.name(invalidUse("a gather can be ranged over once; make another to run the method again"), method))
			return
		}
		g := &gathering{}
		for _, o := range options {
			o.applyGather(g)
		}
		if err := g.open(ctx, c, method, args); err != nil {
			yield(Reply[R]{}, err)
			return
		}
		defer g.close()
		for answer, ok := g.next(); ok; answer, ok = g.next() {
			reply, err := newReply[R](ctx, c, &answer, g)
			if !yield(reply, c.name(err, method)) {
				return
			}
		}
	}
}

func newReply[R any](ctx context.Context, c *Client, a *delivery.Answer[*pb.Payload], g *gathering) (Reply[R], error) {
	r := Reply[R]{
		Instance: a.Entry.Instance, Skipped: a.Skipped, Unlisted: a.Entry.Unlisted, Uncertain: g.uncertain, Expected: g.expected,
	}
	if a.Err != nil {
		return r, a.Err
	}
	text, err := resultText(a.Value)
	var value R
	if err == nil {
		err = c.settings.read(ctx, text, &value)
	}
	if err != nil {
		return r, delivery.At(err, a.Entry)
	}
	r.Value = value
	return r, nil
}

// gathering is a gather that is being ranged over.
type gathering struct {
	stall time.Duration
	tell  func([]Instance)

	expected  int
	uncertain error
	others    []delivery.Result // instances that are not asked, and are not yet yielded
	answers   <-chan delivery.Answer[*pb.Payload]
	cancel    context.CancelCauseFunc
	release   context.CancelFunc // of the deadline
	stalled   atomic.Bool
}

// errStalled is the cause when a gather is canceled because replies stopped coming.
var errStalled = &Error{Kind: Timeout, Message: "replies stopped coming"}

// open settles who is asked, and asks. After an error nothing needs to be closed.
func (g *gathering) open(ctx context.Context, c *Client, method string, args any) error {
	m, err := c.message(ctx, method, args)
	if err != nil {
		return err
	}
	m.toEverybody()
	ctx, g.release = c.deadline(ctx, DefaultCallTimeout)
	audience, err := delivery.AudienceOf(ctx, c.watched(), c.delivery(&m))
	if err != nil {
		g.release()
		return err
	}
	g.others, g.expected, g.uncertain = audience.Others, len(audience.Reached)+len(audience.Others), audience.Uncertain
	if g.tell != nil {
		g.tell(instancesOf(audience))
	}
	ctx, g.cancel = context.WithCancelCause(ctx)
	g.answers = delivery.Gather(ctx, audience, m.ask)
	return nil
}

func instancesOf(a *delivery.Audience) []Instance {
	list := make([]Instance, 0, len(a.Reached)+len(a.Others))
	for _, e := range a.Reached {
		list = append(list, e.Instance)
	}
	for _, r := range a.Others {
		list = append(list, r.Entry.Instance)
	}
	slices.SortFunc(list, byServer)
	return list
}

// next returns the next answer, false after the last. When replies stop coming it cancels the others, and then they come as errors.
func (g *gathering) next() (answer delivery.Answer[*pb.Payload], ok bool) {
	if len(g.others) > 0 {
		answer.Result, g.others = g.others[0], g.others[1:]
		return answer, true
	}
	if g.stall > 0 {
		late := time.AfterFunc(g.stall, func() {
			g.stalled.Store(true)
			g.cancel(errStalled)
		})
		defer late.Stop()
	}
	answer, ok = <-g.answers
	answer.Err = g.explain(answer.Err)
	return answer, ok
}

// explain says of an error that we caused ourselves why we did.
func (g *gathering) explain(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != Canceled || !g.stalled.Load() {
		return err
	}
	stalled := *e
	stalled.Kind, stalled.Cause = Timeout, err
	stalled.Message = fmt.Sprintf("no server replied for %v, and this one was still outstanding", g.stall)
	return &stalled
}

// close cancels what is outstanding and waits until nothing of it is left.
func (g *gathering) close() {
	g.cancel(nil)
	g.release()
	for range g.answers {
	}
}

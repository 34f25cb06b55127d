package client

import (
	"context"
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Gathering are the options of a gather.
type Gathering struct {
	// Stall is the time without a reply after which the outstanding copies are canceled. Zero or
	// less means never.
	Stall time.Duration
	// Tell is called with the servers that should reply, before the message is sent to any; nil for
	// none.
	Tell func([]rpc.Instance)
	// Each is called with the answer of each server. It returns false to cancel the outstanding
	// copies.
	Each func(*Answer) (more bool)
}

// Answer is the outcome of a gather at one server.
type Answer struct {
	Instance rpc.Instance
	// Skipped is true if the server drains, or cannot serve the message.
	Skipped bool
	// Unlisted is true if discovery no longer lists the server.
	Unlisted bool
	// Uncertain is why there may be other servers; nil if there are none.
	Uncertain error
	// Expected is how many answers there are in all.
	Expected int

	of     *gathering
	ctx    context.Context //nolint:containedctx // It is the context of the range.
	answer *delivery.Answer[carrier.Reply]
}

// Read stores the result in the value that result points to, or returns why there is none.
func (a *Answer) Read(result any) error {
	if a.answer.Err != nil {
		return a.of.name(a.answer.Err)
	}
	return a.of.about(a.of.codec.decode(a.ctx, a.answer.Value, result), a.answer.Entry)
}

// Gather has every server on the topic run a method, and takes their answers as they come. It
// returns when there are no more. Its error is not about a single server.
func (c *Client) Gather(ctx context.Context, method string, args any, how Gathering) error {
	g := &gathering{operation: c.dynamic(&gathers, method, args, nil), Gathering: how}
	if err := g.run(ctx, g); err != nil && !g.broken {
		return err
	}
	return nil
}

// gathering is a gather in progress.
type gathering struct {
	*operation
	Gathering

	others  []delivery.Result // instances that are not asked, and are not yet taken
	answers <-chan delivery.Answer[carrier.Reply]
	cancel  context.CancelCauseFunc
	broken  bool // no more answers are wanted
}

// deliver decides which servers are asked, asks them, and takes their answers.
func (g *gathering) deliver(ctx context.Context) error {
	g.message.Size = g.size()
	audience, err := delivery.AudienceOf(ctx, g.client.watched(), &g.message)
	if err != nil {
		return err
	}
	g.client.transport.warnNameless(ctx, audience)
	g.others = audience.Others
	expected := instancesOf(audience)
	if g.Tell != nil {
		g.Tell(expected)
	}
	asking, cancel := context.WithCancelCause(ctx)
	g.cancel = cancel
	g.answers = delivery.Gather(asking, audience, g.do)
	defer g.close()
	for a, ok := g.next(); ok; a, ok = g.next() {
		answer := &Answer{
			Instance: a.Entry.Instance, Skipped: a.Skipped, Unlisted: a.Entry.Unlisted, Uncertain: audience.Uncertain,
			Expected: len(expected), of: g, ctx: ctx, answer: &a,
		}
		if !g.Each(answer) {
			g.broken = true
			return nil
		}
	}
	return nil
}

func instancesOf(a *delivery.Audience) []rpc.Instance {
	list := make([]rpc.Instance, 0, len(a.Reached)+len(a.Others))
	for _, e := range a.Reached {
		list = append(list, e.Instance)
	}
	for _, r := range a.Others {
		list = append(list, r.Entry.Instance)
	}
	slices.SortFunc(list, func(a, b rpc.Instance) int { return byServer(&a, &b) })
	return list
}

// next returns the next answer. Ok is false after the last one. When replies stop coming, next
// cancels the other copies, which then arrive as errors.
func (g *gathering) next() (answer delivery.Answer[carrier.Reply], ok bool) {
	if len(g.others) > 0 {
		answer.Result, g.others = g.others[0], g.others[1:]
		return answer, true
	}
	if g.Stall > 0 {
		late := time.AfterFunc(g.Stall, func() {
			g.cancel(tooLate("no server replied for %v, and this one was still outstanding", g.Stall))
		})
		defer late.Stop()
	}
	answer, ok = <-g.answers
	return answer, ok
}

// close cancels the outstanding copies, and waits until all of them have ended.
func (g *gathering) close() {
	g.cancel(nil)
	for range g.answers {
	}
}

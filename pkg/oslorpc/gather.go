package oslorpc

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Reply is what came of a [Gather] at one server.
type Reply[R any] struct {
	// Instance is the server that replied, or did not.
	Instance Instance
	// Value is the result of the method; the zero R if there is an error.
	Value R
	// Skipped: the server drains, or its version, or lack of the method, does not let it run the
	// message. The error says which.
	Skipped bool
	// Unlisted is as in [FanoutResult].
	Unlisted bool
	// Uncertain is as in [Report], and the same in all replies.
	Uncertain error
	// Total is how many replies there are in all, errors among them: one for each server. It is 0
	// only with an error that is not about one server.
	Total int
}

// GatherOption changes how replies are gathered.
type GatherOption interface{ applyGather(*client.Gathering) }

type gatherOption func(*client.Gathering)

func (o gatherOption) applyGather(g *client.Gathering) { o(g) }

// WithStall ends a [Gather] early: when no reply comes for d, the outstanding ones are canceled and
// yielded as errors of kind [Timeout]. The time that the range's body takes does not count. 0 or
// less, the default, waits until the deadline.
func WithStall(d time.Duration) GatherOption {
	return gatherOption(func(g *client.Gathering) { g.Stall = d })
}

// WithAudience tells which servers are to reply, in the order of their names, before the message is
// sent to any. Skipped servers are among them. It is called by the goroutine that ranges.
func WithAudience(tell func(audience []Instance)) GatherOption {
	return gatherOption(func(g *client.Gathering) { g.Tell = tell })
}

// Gather has every server on the topic run a method, all at the same time, and yields their replies
// as they come. Which servers these are is settled when the range begins. Each is yielded exactly
// once: with its result, or with an error that is about it, which does not end the rest. Servers
// whose version cannot serve the message are among them, as errors with Skipped. If no server is on
// the topic there are no replies, and that is no error. An error that is not about one server, such
// as a target that is mistaken or discovery that cannot be reached, has a Total of 0, and is all
// there is.
//
// The sequence is lazy and can be used once, as with [Multicall]. Breaking out of the range,
// with the first good reply or as soon as there are enough, cancels what is outstanding, at the
// servers too. The server in the client's target is ignored. A held server replies when it is
// released, and draining ones are not asked.
//
// The deadline of the whole is the earlier one of the deadline of ctx and of [WithTimeout], or
// [DefaultCallTimeout]. Replies that are outstanding then are yielded as errors of kind [Timeout].
// See also [WithStall].
func Gather[R any](ctx context.Context, c *Client, method string, args any, options ...GatherOption) iter.Seq2[Reply[R], error] {
	var used atomic.Bool
	return func(yield func(Reply[R], error) bool) {
		if used.Swap(true) {
			yield(Reply[R]{}, c.engine.UsedTwice(method, "a gather"))
			return
		}
		g := client.Gathering{Each: func(a *client.Answer) bool { return yield(newReply[R](a)) }}
		for _, o := range options {
			o.applyGather(&g)
		}
		if err := c.engine.Gather(ctx, method, arguments(args), g); err != nil {
			yield(Reply[R]{}, err)
		}
	}
}

func newReply[R any](a *client.Answer) (Reply[R], error) {
	r := Reply[R]{Instance: a.Instance, Skipped: a.Skipped, Unlisted: a.Unlisted, Uncertain: a.Uncertain, Total: a.Expected}
	var value R
	err := a.Read(&value)
	if err == nil {
		r.Value = value
	}
	return r, err
}

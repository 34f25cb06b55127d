package oslorpc

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Reply is the outcome of a [Gather] at one server.
type Reply[R any] struct {
	// Instance is the server.
	Instance Instance
	// Value is the result of the method. It is the zero R if there is an error.
	Value R
	// Skipped is true if the server does not run the message because it drains, has another
	// version, or lacks the method. The error says which.
	Skipped bool
	// Unlisted has the same meaning as in [FanoutResult].
	Unlisted bool
	// Uncertain has the same meaning as in [Report]. It is the same in all replies.
	Uncertain error
	// Total is the number of all replies, including errors: one for each server. It is 0 only in a
	// reply with an error that is not about one server.
	Total int
}

// GatherOption changes how replies are gathered.
type GatherOption interface{ applyGather(*client.Gathering) }

type gatherOption func(*client.Gathering)

func (o gatherOption) applyGather(g *client.Gathering) { o(g) }

// WithStall ends a [Gather] early. When no reply arrives for d, the outstanding messages are
// canceled, and their replies are errors of kind [Timeout]. Time spent in the body of the range
// does not count. 0 or less, the default, waits until the deadline.
func WithStall(d time.Duration) GatherOption {
	return gatherOption(func(g *client.Gathering) { g.Stall = d })
}

// WithAudience calls tell once with the servers that should reply, ordered by name, before the
// message is sent to any of them. Skipped servers are included. Tell runs on the goroutine that
// ranges over the replies.
func WithAudience(tell func(audience []Instance)) GatherOption {
	return gatherOption(func(g *client.Gathering) { g.Tell = tell })
}

// Gather runs a method on every server on the topic at the same time, and yields the replies as
// they arrive. The set of servers is fixed when the range begins. Each server is yielded exactly
// once: with its result, or with its error, which does not end the range. Servers that cannot serve
// the version of the message are yielded as errors with Skipped. If no server is on the topic,
// there are no replies and no error. An error that is not about one server, such as an invalid
// target or unreachable discovery, is the only reply and has a Total of 0.
//
// The sequence is lazy and can be used once, as with [Multicall]. Breaking out of the range, for
// example after the first good reply, cancels the outstanding messages, also at the servers. The
// server in the client's target is ignored. A held server replies after its release. Draining
// servers are not asked.
//
// The deadline of the whole gather is the deadline of ctx or of [WithTimeout], whichever is
// earlier; if there is neither, [DefaultCallTimeout] applies. At the deadline, outstanding replies
// are yielded as errors of kind [Timeout]. See also [WithStall].
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

package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/host"
)

// WithMissedMessages sets a function that the server calls when messages for it may have been lost
// before they reached it. Missed should then reload all data whose changes arrive as messages.
// There are two cases:
//
//   - The registration of the server lapsed and came back. In between, other programs may not have
//     known the server, so a fanout may not have reached it.
//   - A sender failed to reach the server with a fanout, a gather or a message by its name since
//     the server started, and reaches it with a later message.
//
// The reason is text for people. Missed is never called concurrently with itself. If several
// reasons occur while it runs, it is called once afterwards, with one of them. A sender's report
// calls it at once, and then at most once in ten seconds, so that a sender cannot overload it. A
// panic of missed is logged. Its ctx ends when the server begins to stop, and the stop does not
// wait for it. In memory:// and static:// nothing can lapse.
func WithMissedMessages(missed func(ctx context.Context, reason string)) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Missed = missed })
}

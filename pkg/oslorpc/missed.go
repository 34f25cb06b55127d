package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/host"
)

// WithMissedMessages has missed called when messages for the server may have been lost on the way
// to it, though it ran: after its registration had lapsed and came back, since others may not have
// known of it, and a fanout that does not know a server does not reach it; and when a sender that
// failed to reach the server with a fanout, a gather or a message by its name, since the server
// started, reaches it with the next one. It is the moment to read anew whatever changes are
// otherwise told of. The reason is for people.
//
// Missed is not called concurrently with itself; of several reasons that come while it runs, it is
// told of one afterwards. Of what senders report it is told at once, and then at most once in ten
// seconds, so that a sender cannot make it work without end. A panic of missed is logged. Its ctx
// ends when the server begins to stop, which does not wait for it. In memory:// and static://
// nothing can lapse.
func WithMissedMessages(missed func(ctx context.Context, reason string)) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Missed = missed })
}

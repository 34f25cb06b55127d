package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
)

// RequestContext is the request context: a dict that travels with a message, such as the user and
// the request id.
type RequestContext = map[string]any

// WithContext returns ctx with a request context, in place of any other. Messages that are sent
// with ctx carry it, and so do the messages that their methods send. The dict must not be changed
// afterwards.
func WithContext(ctx context.Context, dict RequestContext) context.Context {
	return msgcontext.With(ctx, dict)
}

// ContextFrom returns the request context in ctx, nil if there is none: in a method, the one that
// came with the message. It must not be changed. To send another, copy it and use [WithContext].
//
// Numbers that arrived are int64 if written as integers that fit, *big.Int if they do not fit, and
// float64 otherwise.
func ContextFrom(ctx context.Context) RequestContext { return msgcontext.Dict(ctx) }

// Stopping returns a channel that is closed when the server that runs a method stops: it has
// withdrawn itself, refuses messages, and waits for the messages that it accepted. Pass the
// method's ctx, or one that derives from it. For any other ctx the channel is nil, which is never
// ready.
//
// A method that runs for long should end then, with what it has or with an error. A stop waits for
// it until the time for the stop is up. Then the stop ends ctx, with a cause ([context.Cause])
// that says so. Stopping works in methods of all kinds: calls, casts, multicalls, and typed
// services with their streams.
//
//	for {
//		select {
//		case event := <-events:
//			...
//		case <-oslorpc.Stopping(ctx):
//			return status.Error(codes.Unavailable, "the server stops: watch another one")
//		case <-ctx.Done():
//			return ctx.Err()
//		}
//	}
func Stopping(ctx context.Context) <-chan struct{} { return dispatch.Stopping(ctx) }

// MessageFrom returns the message that a method runs for: what it asks for, who sent it, and what
// travelled beside it. Pass the method's ctx, or one that derives from it. For any other ctx it
// returns nil.
func MessageFrom(ctx context.Context) *Message { return dispatch.MessageFrom(ctx) }

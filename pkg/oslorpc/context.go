package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
)

// RequestContext is the request context: a dict that travels with a message, such as the user and
// the request id.
type RequestContext = map[string]any

// WithContext returns a copy of ctx with a request context, in place of any other. Messages that
// are sent with it carry the request context, and so do the messages that their methods send. The
// dict must not be changed afterwards.
func WithContext(ctx context.Context, dict RequestContext) context.Context {
	return msgcontext.With(ctx, dict)
}

// ContextFrom returns the request context in ctx, or nil if there is none. In a method, that is the
// request context of the message. It must not be changed. To send a different one, copy it and use
// [WithContext].
//
// Received numbers are int64 if they are written as integers that fit, *big.Int if they are larger,
// and float64 otherwise.
func ContextFrom(ctx context.Context) RequestContext { return msgcontext.Dict(ctx) }

// Stopping returns a channel that is closed when the server that runs a method begins to stop: it
// has withdrawn its registration, refuses messages, and waits for the messages that it accepted.
// Pass the method's ctx, or a context derived from it. For any other ctx, the channel is nil and
// never ready.
//
// A long-running method should then return, with the results so far or with an error. The stop
// waits for the method until the stop's timeout ends. Then it ends the method's ctx, with a cause
// ([context.Cause]) that says so. Stopping works in methods of all kinds: calls, casts, multicalls,
// and typed services with their streams.
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

// MessageFrom returns the message that a method runs for: its target and method, its sender, and
// its metadata. Pass the method's ctx, or a context derived from it. For any other ctx, it returns
// nil.
func MessageFrom(ctx context.Context) *Message { return dispatch.MessageFrom(ctx) }

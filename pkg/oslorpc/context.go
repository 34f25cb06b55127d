package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/requestctx"
)

// Context is the request context: a dict that travels with a message, such as the user and the request id.
type Context map[string]any

// WithContext returns ctx with a request context, in place of any other. Messages sent with ctx carry it, and so do those that their
// handlers send. The dict must not be changed afterwards.
func WithContext(ctx context.Context, dict Context) context.Context {
	return requestctx.With(ctx, dict)
}

// ContextFrom returns the request context in ctx, nil if there is none: in a handler, that of the message. It must not be
// changed; to send another, copy it and use [WithContext].
//
// Numbers that arrived are int64 if written as integers that fit, *big.Int if they do not fit, and float64 otherwise.
func ContextFrom(ctx context.Context) Context { return requestctx.Dict(ctx) }

// Request says what a handler was asked.
type Request struct {
	// Server is the name of the server that runs the handler.
	Server string
	// Namespace, Version and Method are those of the message. A message without a version has 1.0.
	Namespace string
	Version   Version
	Method    string
	// MessageID identifies the message; empty if its sender gave it no id.
	MessageID string
	// Caller is the name that the sender's program gives itself, as with [WithCallerName], or the user agent of a gRPC program in
	// another language; "unknown" if it gives none. It tells who still asks for what. Nothing proves it, so it must not decide who may.
	Caller string
}

// RequestFrom returns what the handler that ctx belongs to was asked; false if ctx belongs to none.
func RequestFrom(ctx context.Context) (Request, bool) {
	info, ok := dispatch.InfoFrom(ctx)
	return Request(info), ok
}

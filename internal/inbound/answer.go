package inbound

import (
	"context"
	"reflect"

	"google.golang.org/grpc"
)

// Reserve reserves memory for an answer of about n bytes to the RPC of ctx. Alone is true if the
// RPC has only one answer. Reserve waits while the caller, or the process, has too many unread
// answers. It returns an error if ctx ends first.
func Reserve(ctx context.Context, n int, alone bool) error {
	g, id := guardOf(ctx)
	if g == nil {
		return nil
	}
	if alone {
		g.forget(id)
	}
	return g.claimAnswer(ctx, id, n, true)
}

// Answer is Reserve for an answer of exactly n bytes that is written next. It uses an earlier
// reservation.
func Answer(ctx context.Context, n int, alone bool) error {
	g, id := guardOf(ctx)
	if g == nil || g.takeReserved(id, n) {
		return nil
	}
	if alone {
		g.forget(id)
	}
	return g.claimAnswer(ctx, id, n, false)
}

// guardOf returns the guard of the connection of an RPC, or nil if there is none, and the number of
// the stream.
func guardOf(ctx context.Context) (*guard, uint32) {
	c := From(ctx)
	if c == nil || c.guard == nil {
		return nil, 0
	}
	id, ok := streamOf(ctx)
	if !ok {
		return nil, 0
	}
	return c.guard, id
}

// streamOf returns the number of the stream of an RPC. gRPC keeps it in an unexported field, and
// offers no other way from a handler to the frames of its RPC. Without the field, answers are not
// accounted for; a test fails if the field is missing.
func streamOf(ctx context.Context) (id uint32, ok bool) {
	stream := reflect.ValueOf(grpc.ServerTransportStreamFromContext(ctx))
	if stream.Kind() != reflect.Pointer || stream.Elem().Kind() != reflect.Struct {
		return 0, false
	}
	field := stream.Elem().FieldByName("id")
	if field.Kind() != reflect.Uint32 {
		return 0, false
	}
	return uint32(field.Uint()), true //nolint:gosec // It is one.
}

package service

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// forcedGrace is how long a method may take, after its context was ended by force, to end by
// itself.
const forcedGrace = 250 * time.Millisecond

// untilForced runs the message of a stream, and returns when that has ended; after a forced stop
// of the server, soon in any case. A method that waits for a message, or for its client to take
// one, does not see its context end; that the stream ends does it see.
func untilForced(ctx context.Context, d *dispatch.Dispatcher, r *dispatch.Request, emit dispatch.Emit) error {
	over := make(chan error, 1)
	go func() { over <- d.Call(ctx, r, guarded(d, emit)) }()
	select {
	case err := <-over:
		return err
	case <-d.Forced():
	}
	late := time.NewTimer(forcedGrace)
	defer late.Stop()
	select {
	case err := <-over:
		return err
	case <-late.C:
		return dispatch.ErrCut()
	}
}

// guarded returns emit for a stream that may have ended before its method.
func guarded(d *dispatch.Dispatcher, emit dispatch.Emit) dispatch.Emit {
	return func(item string) error {
		select {
		case <-d.Forced():
			return dispatch.ErrCut()
		default:
			return emit(item)
		}
	}
}

// runStream is a stream as its method sees it: it has the method's context, and ends with it.
type runStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // It replaces the context of the stream.
}

// Context returns the method's context.
func (s *runStream) Context() context.Context { return s.ctx }

// RecvMsg implements [grpc.ServerStream].
func (s *runStream) RecvMsg(m any) error {
	if err := s.ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return s.ServerStream.RecvMsg(m)
}

// SendMsg implements [grpc.ServerStream].
func (s *runStream) SendMsg(m any) error {
	if err := s.ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return s.ServerStream.SendMsg(m)
}

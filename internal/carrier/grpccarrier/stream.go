package grpccarrier

import (
	"cmp"
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// stream is the common part of multicalls and typed streams: an RPC, and a place on its link from
// the acceptance of the message until the stream ends.
type stream struct {
	link     Link
	ctx      context.Context //nolint:containedctx // It is the stream's own, and ends with it.
	cancel   context.CancelCauseFunc
	rpc      grpc.ClientStream
	evidence evidence

	// receiving is held while an item is being received.
	receiving sync.Mutex

	mu     sync.Mutex
	unhook func() bool // keeps the end of ctx from ending the stream
	held   bool        // it has a place
	ended  error       // why it ended, if that is more than the RPC says
}

// begin prepares a stream. Its caller must call finish.
func (s *stream) begin(ctx context.Context, l Link) {
	s.link = l
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.evidence.carrier = l.carrier
}

// hold takes a place until the stream ends. Before that, the caller of Open has a place.
func (s *stream) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = s.link.Acquire()
	s.unhook = context.AfterFunc(s.ctx, func() { s.finish(nil) })
}

// finish ends the stream, if it has not ended, and releases its place. If why is not nil, Receive
// returns it.
func (s *stream) finish(why error) {
	s.mu.Lock()
	unhook, held := s.unhook, s.held
	s.unhook, s.held, s.ended = nil, false, cmp.Or(s.ended, why)
	s.mu.Unlock()
	if unhook != nil {
		unhook()
	}
	s.cancel(why)
	if held {
		s.link.Release()
	}
}

// end returns why the stream ended. It returns nil if the stream has not ended, or if the RPC has
// the reason.
func (s *stream) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Close implements [carrier.Stream].
func (s *stream) Close(cause error) {
	s.finish(cause)
	if !s.receiving.TryLock() {
		return // the waiting Receive sees the end
	}
	defer s.receiving.Unlock()
	for err := error(nil); err == nil; { // gRPC frees a stream when its end is received
		err = s.rpc.RecvMsg(&emptypb.Empty{})
	}
}

// Trailer implements [carrier.Stream].
func (s *stream) Trailer() rpc.Metadata { return rpc.Metadata(s.rpc.Trailer()) }

package oslorpc

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/header"
)

// place finds a server that takes the stream, with its first message if there is one.
func (s *typedStream) place(hasMessage bool) error {
	budget := DefaultCallTimeout
	if c := &s.client.settings; c.hasTimeout {
		budget = c.timeout
	}
	s.due = time.Now().Add(budget)
	s.late = time.AfterFunc(budget, func() {
		if s.placing.CompareAndSwap(0, placedTooLate) {
			s.cancel(errNotOpened)
		}
	})
	defer s.late.Stop()
	d := s.delivery()
	d.Unanswered = true
	err := delivery.One(s.ctx, s.client.watched(), d, func(ctx context.Context, a delivery.Attempt) error {
		err := s.start(ctx, a, hasMessage)
		if err == nil {
			s.hold(peerOf(a))
		}
		return err
	})
	switch e, failed := errors.AsType[*Error](err); {
	case failed && errors.Is(context.Cause(s.ctx), errNotOpened):
		late := *e
		late.Kind, late.Cause, late.Message = Timeout, err, errNotOpened.Message+": "+err.Error()
		return &late
	case err == nil && !s.placing.CompareAndSwap(0, placedInTime):
		return delivery.At(&Error{Kind: Timeout, Cause: errNotOpened, Message: errNotOpened.Message + "; the method may have run"}, s.entry)
	}
	return err
}

// How an opening ended.
const (
	placedInTime int32 = iota + 1
	placedTooLate
)

// errNotOpened is the cause when a stream found no server in time.
var errNotOpened = &Error{Kind: Timeout, Message: "the stream was not opened within the timeout"}

// start opens the stream at one instance.
func (s *typedStream) start(ctx context.Context, a delivery.Attempt, hasMessage bool) error {
	conn, err := connOf(a)
	if err != nil {
		return err
	}
	s.seen = evidence{transport: s.client.transport} // the evidence of an earlier attempt says nothing about this one
	if len(s.client.transport.config.dialOptions) > 0 {
		ctx = context.WithValue(header.Complete(ctx), evidenceKey{}, &s.seen)
	}
	s.at, s.entry = s.version(a.Variant), a.Entry
	options := append(append([]grpc.CallOption{grpc.Peer(&s.seen.opened), s.client.transport.config.typedLimit}, s.options...), neverWait)
	if s.desc.ClientStreams {
		options = append(options, neverReplay)
	}
	stream, err := conn.NewStream(s.headers(ctx, a), s.desc, s.path, options...)
	if err != nil {
		return s.explain(s.seen.error(ctx, err), err)
	}
	s.stream = stream
	if hasMessage {
		if err := stream.SendMsg(s.form(a.Variant)); err != nil && !errors.Is(err, io.EOF) {
			return s.explain(s.seen.error(ctx, err), err)
		}
	}
	if s.desc.ClientStreams {
		return nil
	}
	_ = stream.CloseSend() // gRPC says that it never fails
	return s.answered(ctx)
}

// neverReplay keeps gRPC from beginning a stream again on another connection once a message was
// sent. It would send what it has until then, and let the stream succeed, although its sender was
// told that it had ended. The price: a stream fails if its server goes away before it has seen the
// stream.
var neverReplay = grpc.MaxRetryRPCBufferSize(0)

// answered waits for the first sign of the server, which may take as long as the method needs, or
// for a refusal. After a refusal, the remaining time to open the stream counts again.
func (s *typedStream) answered(ctx context.Context) error {
	s.late.Stop()
	left := time.Until(s.due)
	if headers, _ := s.stream.Header(); headers != nil {
		return nil
	}
	err := s.stream.RecvMsg(&emptypb.Empty{}) // there is no message, only the stream's end
	if err != nil && !errors.Is(err, io.EOF) {
		s.due = time.Now().Add(left)
		s.late.Reset(left)
		s.seen.end(s.stream)
		return s.explain(s.seen.error(ctx, err), err)
	}
	return nil // an empty stream, as receiving says again
}

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Stream is a stream of a typed service. It opens at its first message. One goroutine may send
// while another receives. Its errors are *rpc.Errors, except io.EOF.
type Stream struct {
	*typedOperation

	ctx    context.Context //nolint:containedctx // It is the stream's own, and ends with it.
	cancel context.CancelCauseFunc

	begun  atomic.Bool   // the stream is being opened, or was
	opened chan struct{} // closed when what follows is settled
	stream carrier.Stream
	failed error // of the opening
	at     rpc.Version
	clock  clock // of the opening

	// sending is held while a later message is sent. A message that cannot be sent ends the stream,
	// and the receiving caller waits for the reason.
	sending sync.Mutex

	mu    sync.Mutex
	over  chan struct{} // closed when the stream has ended
	ended error         // why; nil if it is complete
	// concluded is closed when the interceptors have returned. Conclusion is the error that they
	// returned.
	concluded  chan struct{}
	conclusion error
}

// Stream begins a stream of a typed service.
func (c *Client) Stream(ctx context.Context, call *TypedCall) (*Stream, error) {
	o, err := c.typed(call)
	if err != nil {
		return nil, err
	}
	if o.content.wanted, err = rpc.VersionOrDefault(c.settings.Target.Version); err != nil {
		return nil, o.name(&rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: err.Error()})
	}
	if o.kind = &typedWatching; call.ClientStreams {
		o.kind = &typedStreams
	}
	if o.client.settings.Target.Fanout {
		return nil, o.name(o.noFanout())
	}
	o.message.Unanswered = true
	s := &Stream{typedOperation: o, opened: make(chan struct{}), over: make(chan struct{}), concluded: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s, nil
}

// Context returns the stream's context.
func (s *Stream) Context() context.Context { return s.ctx }

// Send sends a message. The first one opens the stream.
func (s *Stream) Send(message any) error {
	if !s.begun.Swap(true) {
		if err := s.content.set(message); err != nil {
			return s.refuse(err)
		}
		return s.begin()
	}
	if s.wait() != nil {
		return io.EOF // receiving tells why
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	fitted, err := s.fit(message)
	if err == nil {
		err = s.stream.Send(fitted)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return err // receiving tells why
	}
	err = failure.With(s.about(s.explain(s.ctx, err), s.from), func(e *rpc.Error) { e.NotStarted = false }) // the method runs
	s.end(err)
	return s.conclude(err)
}

// CloseSend says that no message follows. It opens a stream that sent no message.
func (s *Stream) CloseSend() error {
	if !s.begun.Swap(true) {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.request.Typed.ClientStreams && s.wait() == nil {
		return s.stream.CloseSend()
	}
	return nil // it was closed with its only message, or receiving tells why there is none
}

// Receive waits until the stream is open, and receives a message.
func (s *Stream) Receive(message any) error {
	if err := s.wait(); err != nil {
		return err
	}
	err := s.stream.Receive(message)
	switch {
	case err == nil && s.request.Typed.ServerStreams:
		return nil
	case err == nil || errors.Is(err, io.EOF):
		s.end(nil)
	default:
		s.sending.Lock() // wait for the reason if a message could not be sent
		s.end(s.about(s.explain(s.ctx, err), s.from))
		s.sending.Unlock()
		err = s.whyEnded()
	}
	return s.conclude(err)
}

// Header waits until the stream is open, and returns the server's metadata once it arrives.
func (s *Stream) Header() (rpc.Metadata, error) {
	if err := s.wait(); err != nil {
		return nil, err
	}
	header, err := s.stream.Header()
	return header, s.about(s.explain(s.ctx, err), s.from)
}

// Trailer returns the server's trailing metadata, once the stream has ended.
func (s *Stream) Trailer() rpc.Metadata {
	select {
	case <-s.opened:
		if s.stream != nil {
			return s.stream.Trailer()
		}
	default:
	}
	return nil
}

// fit returns a later message in the form that the stream's version allows.
func (s *Stream) fit(message any) (proto.Message, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, notProtobuf(message)
	}
	method := s.content.method
	need := method.Need(m)
	switch {
	case s.at.Serves(need.Version):
		return m, nil
	case s.at.Serves(need.Floor):
		return method.Fit(m, s.at), nil
	}
	e, _ := method.Blame(m, s.at)
	return nil, &rpc.Error{Kind: rpc.UnsupportedVersion, Message: fmt.Sprintf(
		"field %s of %s needs version %s, and the stream was opened at %s: open it with a message that needs as much, or with WithVersion",
		e.Path, m.ProtoReflect().Descriptor().FullName(), e.Since, s.at)}
}

// wait waits until the stream is open. It returns an error if the stream cannot be opened.
func (s *Stream) wait() error {
	select {
	case <-s.opened:
		return s.whyFailed()
	case <-s.ctx.Done():
	}
	if s.begun.Swap(true) { // the opening ends with ctx, and knows what was sent
		<-s.opened
		return s.whyFailed()
	}
	e := &rpc.Error{Kind: rpc.Canceled, Cause: context.Cause(s.ctx), Message: "canceled before a message opened the stream"}
	if errors.Is(e.Cause, context.DeadlineExceeded) {
		e.Kind, e.Message = rpc.Timeout, "the deadline passed before a message opened the stream"
	}
	return s.refuse(e)
}

// whyFailed returns why the opening failed, or nil if it did not fail.
func (s *Stream) whyFailed() error {
	if s.failed == nil {
		return nil
	}
	return s.conclude(s.failed)
}

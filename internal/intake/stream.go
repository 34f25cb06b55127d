package intake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// StreamMethod runs a streaming method, and returns when the method has.
type StreamMethod func(ctx context.Context, stream Stream) error

// Stream is the server's end of a typed stream. One goroutine may send while another receives.
type Stream interface {
	// Send sends an item to the client.
	Send(item any) error
	// Receive receives a message of the client. It returns io.EOF after the last one.
	Receive(message any) error
	// SetHeader, SendHeader and SetTrailer set the metadata before the first item and after the last.
	SetHeader(md rpc.Metadata) error
	SendHeader(md rpc.Metadata) error
	SetTrailer(md rpc.Metadata)
}

// Stream runs a streaming method of a typed service, and returns when the stream has ended.
func (i *Intake) Stream(ctx context.Context, m *Message, stream Stream) error {
	if err := i.FindTyped(ctx, m); err != nil {
		return err
	}
	if m.IsForwarded() {
		return i.forwardStream(ctx, m, stream)
	}
	method := m.typed.Streams[m.Method]
	if method == nil {
		return m.Sign(noSuchMethod(m))
	}
	ctx, cancel := m.bound(ctx, i.config.CallTime)
	defer cancel()
	m.Typed.Invoke = func(ctx context.Context, _ dispatch.Emit) error {
		bounded := &boundStream{Stream: stream, ctx: ctx, intake: i, message: m}
		return bounded.result(m, method(ctx, bounded))
	}
	ctx, err := i.enter(ctx, m, deliveryOf(m.typed.Rules.Methods[m.Method]))
	if err == nil {
		err = untilForced(ctx, m.server.Dispatch, &m.Request, drop)
	}
	return m.Sign(err)
}

// boundStream is the stream that a method gets. It enforces the size limits, and fails once the
// method's context has ended.
type boundStream struct {
	Stream

	ctx     context.Context //nolint:containedctx // The stream ends with it.
	intake  *Intake
	message *Message

	mu     sync.Mutex
	broken error // the error with which the stream ends, even if the method ignores it
}

// Send sends an item. An item that cannot be sent ends the stream, even if the method ignores the
// error.
func (s *boundStream) Send(item any) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.intake.sendableMessage(item); err != nil {
		return s.fail(err)
	}
	if err := s.message.answerMessage(item); err != nil {
		return err
	}
	return s.Stream.Send(item)
}

// Receive receives a message. A message that is too large ends the stream.
func (s *boundStream) Receive(message any) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.Stream.Receive(message); err != nil {
		return err
	}
	received, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	if n := proto.Size(received); n > s.intake.config.MaxSize {
		return s.fail(&rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
			"a message of the stream has %d bytes, and this server accepts at most %d: send less at a time, or raise the server's limit",
			n, s.intake.config.MaxSize)})
	}
	return nil
}

func (s *boundStream) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
	return s.broken
}

// result returns the error of the stream after its method returned err.
func (s *boundStream) result(m *Message, err error) error {
	if isForced(m.server.Dispatch) && m.typed.Canceled != nil && m.typed.Canceled(err) {
		return dispatch.ErrCut() // the method failed only because the forced stop ended its stream
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	return failed(err)
}

// forcedGrace is how long a method may take to return after a forced stop canceled its context.
const forcedGrace = 250 * time.Millisecond

// untilForced runs the message of a stream, and returns when it has ended, or at the latest
// forcedGrace after a forced stop of the server. A method that waits for its client does not notice
// that its context was canceled. It does notice the end of the stream, which follows when
// untilForced returns.
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

// guarded returns emit for a method that may still run after its stream has ended.
func guarded(d *dispatch.Dispatcher, emit dispatch.Emit) dispatch.Emit {
	return func(item string) error {
		if isForced(d) {
			return dispatch.ErrCut()
		}
		return emit(item)
	}
}

func isForced(d *dispatch.Dispatcher) bool {
	select {
	case <-d.Forced():
		return true
	default:
		return false
	}
}

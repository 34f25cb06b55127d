package interceptor

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func (c *client) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, path string, open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	m, err := c.find(path)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return open(ctx, desc, conn, path, options...)
	}
	if !c.cap.allows(m.Since) { // no message could do without the method
		return nil, c.exceeded(m, nil)
	}
	if desc.ClientStreams {
		options = append([]grpc.CallOption{neverReplay}, options...) // a program's own options have precedence
	}
	return &clientStream{
		client: c, method: m, ctx: ctx, serverStreams: desc.ServerStreams, opened: make(chan struct{}),
		connect: func(ctx context.Context) (grpc.ClientStream, error) { return open(ctx, desc, conn, path, options...) },
	}, nil
}

// neverReplay keeps gRPC from starting a stream again on another connection after a message was
// sent. gRPC would resend the earlier messages, and the stream could succeed although SendMsg has
// already reported its end.
var neverReplay = grpc.MaxRetryRPCBufferSize(0)

// clientStream is a stream that opens with its first message, because that message determines the
// version to request. As for every stream of gRPC, one goroutine may send and close while another
// receives.
type clientStream struct {
	client        *client
	method        *typed.Method
	ctx           context.Context //nolint:containedctx // A stream is its context's, as of gRPC itself.
	serverStreams bool
	connect       func(context.Context) (grpc.ClientStream, error)

	// begun says whether opened is closed. Only the sender uses it.
	begun bool
	// opened is closed when one of the two following fields is set.
	opened   chan struct{}
	inner    grpc.ClientStream
	unopened error

	// The following are set if there is an inner stream.
	version limit
	cancel  context.CancelFunc
	aborted atomic.Pointer[error]
	told    sync.Once
}

// SendMsg sends a message. The first message opens the stream.
func (s *clientStream) SendMsg(message any) error {
	if !s.begun {
		return s.sendFirst(message)
	}
	if s.unopened != nil {
		return s.unopened
	}
	fitted, _, ok := s.version.fit(s.method, message)
	if !ok {
		return s.abort(message)
	}
	return s.send(fitted)
}

func (s *clientStream) sendFirst(message any) error {
	fitted, version, ok := s.client.cap.fit(s.method, message)
	if !ok {
		return s.begin(nil, s.client.exceeded(s.method, message))
	}
	if err := s.open(version); err != nil {
		return err
	}
	return s.send(fitted)
}

// open opens the stream with a context that abort can cancel, because a message that cannot be sent
// ends the stream.
func (s *clientStream) open(version rpc.Version) error {
	ctx, cancel := context.WithCancel(s.ctx)
	s.version = limit{set: true, version: version, words: "the stream's version " + version.String()}
	s.cancel = cancel
	inner, err := s.connect(s.client.write(ctx, s.method, version))
	if err != nil {
		cancel()
		return s.begin(nil, s.client.explain(s.method, version, err))
	}
	return s.begin(inner, nil)
}

func (s *clientStream) begin(inner grpc.ClientStream, err error) error {
	s.begun, s.inner, s.unopened = true, inner, err
	close(s.opened)
	return err
}

// send sends a message that fits the stream's version. Like gRPC, it returns io.EOF if the stream
// has ended. Receiving then returns the reason.
func (s *clientStream) send(message any) error {
	err := s.inner.SendMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s.cancel()
	return s.client.explain(s.method, s.version.version, err)
}

// abort ends the stream because of a message that it cannot carry. Callers rely on the rule that an
// error of SendMsg ends a stream.
func (s *clientStream) abort(message any) error {
	err := fail(&rpc.Error{
		Kind: rpc.UnsupportedVersion, Method: s.method.Path, Target: s.client.targetOf(s.method, needOf(s.method, message).Floor),
		Message: s.version.excess(s.method, message) + ", or begin the stream with a message that needs it",
	})
	s.aborted.Store(&err)
	s.cancel()
	return err
}

// CloseSend ends the client's side. A stream without a message opens at the version that the method
// needs.
func (s *clientStream) CloseSend() error {
	if !s.begun {
		_ = s.open(s.method.Since) // if it fails, unopened says so
	}
	if s.unopened != nil {
		return s.unopened
	}
	return s.inner.CloseSend()
}

// await waits until the stream is open. The error says why it will not open.
func (s *clientStream) await() error {
	select {
	case <-s.opened: // and what arrived may be read after the context's end
		return s.unopened
	default:
	}
	select {
	case <-s.opened:
		return s.unopened
	case <-s.ctx.Done():
		return s.gaveUp()
	}
}

// gaveUp returns the error of a caller whose context ended before the stream opened.
func (s *clientStream) gaveUp() error {
	e := &rpc.Error{
		Kind: rpc.Canceled, NotStarted: true, Method: s.method.Path, Target: s.client.targetOf(s.method, s.method.Since),
		Message: "canceled before the stream's first message", Cause: context.Cause(s.ctx),
	}
	if errors.Is(s.ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Message = rpc.Timeout, "the deadline passed before the stream's first message"
	}
	return fail(e)
}

// RecvMsg waits until the stream is open, and receives a message.
func (s *clientStream) RecvMsg(message any) error {
	if err := s.await(); err != nil {
		return err
	}
	err := s.inner.RecvMsg(message)
	if err == nil && s.serverStreams {
		return nil
	}
	return s.end(err)
}

// end handles the result of the last receive: the only message if the server does not stream, or an
// error. The error is io.EOF at the regular end of a stream.
func (s *clientStream) end(err error) error {
	if s.client.report != nil {
		s.told.Do(func() { s.client.tell(s.method, s.inner.Trailer(), err) })
	}
	s.cancel()
	return s.reason(err)
}

// reason returns why the stream ended. If this side ended it, gRPC says only that it was canceled.
func (s *clientStream) reason(err error) error {
	if ours := s.aborted.Load(); err != nil && ours != nil {
		return *ours
	}
	return s.client.explain(s.method, s.version.version, err)
}

// Header waits until the stream is open, and returns the server's header once it arrives.
func (s *clientStream) Header() (metadata.MD, error) {
	if err := s.await(); err != nil {
		return nil, err
	}
	md, err := s.inner.Header()
	if err != nil {
		s.cancel()
	}
	return md, s.reason(err)
}

// Trailer returns the server's trailer once the stream has ended.
func (s *clientStream) Trailer() metadata.MD {
	if !s.isOpen() {
		return nil
	}
	return s.inner.Trailer()
}

// Context returns the stream's context; the caller's until the stream is open.
func (s *clientStream) Context() context.Context {
	if !s.isOpen() {
		return s.ctx
	}
	return s.inner.Context()
}

func (s *clientStream) isOpen() bool {
	select {
	case <-s.opened:
		return s.inner != nil
	default:
		return false
	}
}

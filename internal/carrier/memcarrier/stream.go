package memcarrier

import (
	"cmp"
	"context"
	"io"
	"maps"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// stream is a message with several parts. What its ends hand each other passes through channels: a slow
// receiver holds the sender back.
type stream struct {
	link    *link
	conn    *conn
	request *carrier.Request
	ctx     context.Context //nolint:containedctx // It is the stream's own, and bounds it.
	run     context.Context //nolint:containedctx // It is the method's.
	cancel  context.CancelFunc

	up      chan []byte   // messages of the client
	upEnded chan struct{} // closed when no more follow
	sending sync.Once     // closes upEnded
	down    chan any      // items of the server: JSON text, or encoded messages
	header  chan struct{} // closed when the metadata before the first item is there
	headed  sync.Once
	ended   chan struct{} // closed when the server has ended it
	failure error         // why; read it after ended

	mu       sync.Mutex
	first    any // an item that was received, and that no Receive has taken yet
	before   rpc.Metadata
	trailer  rpc.Metadata
	over     bool
	overWith error // what Receive reports once over
	held     bool  // a place on the link
	unhook   func() bool
}

// Open implements [carrier.Link].
func (l *link) Open(ctx context.Context, r *carrier.Request) (carrier.Stream, error) {
	c, err := l.sendable(ctx)
	if err != nil {
		return nil, err
	}
	m, err := l.message(r)
	if err != nil {
		return nil, err
	}
	s := &stream{
		link: l, conn: c, request: r, ctx: ctx, up: make(chan []byte, 16), upEnded: make(chan struct{}), down: make(chan any),
		header: make(chan struct{}), ended: make(chan struct{}),
	}
	if r.Typed != nil && r.Typed.Message != nil {
		first, err := encode(r.Typed.Message)
		if err != nil {
			return nil, err
		}
		s.up <- first
	}
	if r.Typed == nil || !r.Typed.ClientStreams {
		_ = s.CloseSend()
	}
	if r.Peer != nil {
		r.Peer.Addr = l.key.Addr
	}
	s.run, s.cancel = atServer(ctx, c)
	l.carrier.network.running.Go(func() { s.serve(m) })
	if r.Sent != nil {
		r.Sent()
	}
	if r.Typed == nil || !r.Typed.ClientStreams {
		if err := s.await(); err != nil {
			return nil, err
		}
	}
	s.hold()
	return s, nil
}

// serve has the process run the stream.
func (s *stream) serve(m *intake.Message) {
	defer close(s.ended)
	n := s.link.carrier.network
	if !n.pass(s.conn) {
		s.failure = lost()
		return
	}
	in := s.conn.host.Intake
	if s.request.Typed != nil {
		s.failure = arrived(in.Stream(s.run, m, served{s}))
	} else {
		s.failure = arrived(in.Multicall(s.run, m, func(item string) error { return s.emit(item) }))
	}
	if !n.pass(s.conn) {
		s.failure = lost()
	}
}

// emit hands an item to the client.
func (s *stream) emit(item any) error {
	if !s.link.carrier.network.pass(s.conn) {
		return lost()
	}
	select {
	case s.down <- item:
		return nil
	case <-s.run.Done():
		return unanswered(s.run)
	}
}

// await waits for the first sign of the server.
func (s *stream) await() error {
	typed := s.request.Typed != nil
	header := s.header
	if !typed {
		header = nil
	}
	select {
	case s.first = <-s.down:
		return nil
	case <-header:
		return nil
	case <-s.ended:
	case <-s.ctx.Done():
		return s.finish(unanswered(s.ctx))
	case <-s.conn.broken:
		return s.finish(lost())
	case <-s.link.closed:
		return s.finish(closedMeanwhile())
	}
	if s.failure != nil {
		return s.finish(s.failure)
	}
	return nil
}

// hold takes a place on the link until the stream is over.
func (s *stream) hold() {
	s.link.hold()
	s.mu.Lock()
	s.held = true
	s.mu.Unlock()
	s.unhook = context.AfterFunc(s.ctx, func() { _ = s.finish(unanswered(s.ctx)) })
}

// finish ends the stream, if it has not ended, and returns what Receive reports from now on.
func (s *stream) finish(with error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.overWith = true, with
		s.cancel()
	}
	if s.held {
		s.held = false
		s.link.Release()
	}
	return s.overWith
}

// Receive implements [carrier.Stream].
func (s *stream) Receive(into any) error {
	s.mu.Lock()
	first, over, with := s.first, s.over, s.overWith
	s.first = nil
	s.mu.Unlock()
	if first != nil {
		return s.take(first, into)
	}
	if over {
		return with
	}
	select {
	case item := <-s.down:
		return s.take(item, into)
	case <-s.ended:
		return s.finish(cmp.Or(s.failure, io.EOF))
	case <-s.ctx.Done():
		return s.finish(unanswered(s.ctx))
	case <-s.conn.broken:
		return s.finish(lost())
	case <-s.link.closed:
		return s.finish(closedMeanwhile())
	}
}

// take gives an item to the client.
func (s *stream) take(item, into any) error {
	text, dynamic := item.(string)
	size := len(text)
	if !dynamic {
		size = len(item.([]byte))
	}
	if limit := s.link.carrier.config.MaxSize; limit > 0 && size > limit {
		return s.finish(&rpc.Error{Kind: rpc.TooLarge, Message: "the method ran, and an item is too large"})
	}
	if dynamic {
		*into.(*string) = text
		return nil
	}
	return decode(item.([]byte), into)
}

// Send implements [carrier.Stream].
func (s *stream) Send(message proto.Message) error {
	encoded, err := encode(message)
	if err != nil {
		return s.finish(&rpc.Error{Kind: rpc.BadArguments, Cause: err, Message: "a message of the stream cannot be encoded: " + err.Error()})
	}
	if isClosed(s.ended) {
		return io.EOF
	}
	select {
	case s.up <- encoded:
		return nil
	case <-s.ended:
	case <-s.ctx.Done():
	case <-s.conn.broken:
	case <-s.link.closed:
	}
	return io.EOF
}

// CloseSend implements [carrier.Stream].
func (s *stream) CloseSend() error {
	s.sending.Do(func() { close(s.upEnded) })
	return nil
}

// Header implements [carrier.Stream].
func (s *stream) Header() (rpc.Metadata, error) {
	select {
	case <-s.header:
	case <-s.ended:
	case <-s.ctx.Done():
		return nil, unanswered(s.ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.before, nil
}

// Trailer implements [carrier.Stream].
func (s *stream) Trailer() rpc.Metadata {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trailer
}

// Close implements [carrier.Stream].
func (s *stream) Close(cause error) {
	if cause == nil {
		cause = &rpc.Error{Kind: rpc.Canceled, Message: "the stream was closed"}
	}
	_ = s.finish(cause)
}

// served is a typed stream as its method sees it.
type served struct{ *stream }

// Send implements [intake.Stream].
func (s served) Send(item any) error {
	encoded, err := encode(item.(proto.Message))
	if err != nil {
		return err
	}
	_ = s.SendHeader(nil)
	return s.emit(encoded)
}

// Receive implements [intake.Stream].
func (s served) Receive(message any) error {
	if !s.link.carrier.network.pass(s.conn) {
		return lost()
	}
	select {
	case b := <-s.up:
		return decode(b, message)
	default:
	}
	select {
	case b := <-s.up:
		return decode(b, message)
	case <-s.upEnded:
		select {
		case b := <-s.up:
			return decode(b, message)
		default:
			return io.EOF
		}
	case <-s.run.Done():
		return unanswered(s.run)
	}
}

// SetHeader implements [intake.Stream].
func (s served) SetHeader(md rpc.Metadata) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		s.before = rpc.Metadata{}
	}
	maps.Copy(s.before, md)
	return nil
}

// SendHeader implements [intake.Stream].
func (s served) SendHeader(md rpc.Metadata) error {
	err := s.SetHeader(md)
	s.headed.Do(func() { close(s.header) })
	return err
}

// SetTrailer implements [intake.Stream].
func (s served) SetTrailer(md rpc.Metadata) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailer = md
}

package memcarrier

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// window is how many messages of a stream may be unread in one direction. A method that sends more
// blocks.
const window = 16

// stream is the sender's end of a stream.
type stream struct {
	*exchange

	typed  *carrier.Typed  // nil for a multicall
	ctx    context.Context //nolint:containedctx // It is the stream's own, and ends with it.
	cancel context.CancelCauseFunc
	remote *end
	first  []byte // the first item, if Open took it
	taken  bool   // there is a first item that was not received

	mu     sync.Mutex
	unhook func() bool
	held   bool
	ended  error
}

// end is the process's end of a stream.
type end struct {
	up     chan []byte   // messages of the client
	closed chan struct{} // closed when no message follows
	down   chan []byte   // items; closed when the method has ended
	signed chan struct{} // closed at the first sign of the process
	sign   sync.Once
	over   chan struct{} // closed when the method has ended
	result error         // of the method, once it is over
	begun  rpc.Metadata  // once it is signed
	last   rpc.Metadata  // once it is over

	ctx context.Context //nolint:containedctx // The method's.
}

// Open implements [carrier.Link].
func (l *Link) Open(ctx context.Context, r *carrier.Request) (carrier.Stream, error) {
	m, err := pack(r, l.carrier.caller)
	if err != nil {
		return nil, err
	}
	if r.Peer != nil {
		*r.Peer = rpc.Peer{Addr: l.key.Addr}
	}
	s := &stream{typed: r.Typed, remote: newEnd()}
	if r.Typed != nil && r.Typed.Message != nil {
		s.remote.up <- m.content
	}
	if r.Typed == nil || !r.Typed.ClientStreams {
		close(s.remote.closed)
	}
	if s.exchange, err = l.start(ctx, func(ctx context.Context, in *intake.Intake) { s.remote.serve(ctx, in, m) }); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if r.Sent != nil {
		r.Sent()
	}
	if r.Typed == nil || !r.Typed.ClientStreams {
		if err := s.await(); err != nil {
			s.finish(err)
			return nil, err
		}
	}
	s.hold()
	return s, nil
}

// await waits for the first item, header or error of the process. It returns the error, if any.
func (s *stream) await() error {
	sign := s.remote.signed
	if s.typed == nil { // a multicall has none but items
		sign = nil
	}
	var item []byte
	var more bool
	select {
	case item, more = <-s.remote.down:
	case <-sign:
		select {
		case item, more = <-s.remote.down:
		default:
			return s.passed()
		}
	case <-s.conn.broken:
		return s.failed(s.ctx)
	case <-s.ctx.Done():
		return s.failed(s.ctx)
	}
	if err := s.passed(); err != nil {
		return err
	}
	if !more {
		return carried(s.remote.result)
	}
	s.first, s.taken = item, true
	return nil
}

// passed returns nil when messages pass, or the reason why they do not.
func (s *stream) passed() error {
	if s.conn.pass(s.ctx.Done()) {
		return nil
	}
	return s.failed(s.ctx)
}

// hold takes a place until the stream ends.
func (s *stream) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.places.hold()
	s.held = true
	s.unhook = context.AfterFunc(s.ctx, func() { s.finish(nil) })
}

// finish ends the stream, if it has not ended, and releases its place.
func (s *stream) finish(why error) {
	s.mu.Lock()
	unhook, held := s.unhook, s.held
	s.unhook, s.held, s.ended = nil, false, cmp.Or(s.ended, why)
	s.mu.Unlock()
	if unhook != nil {
		unhook()
	}
	s.cancel(why)
	s.giveUp()
	if held {
		s.link.Release()
	}
}

func (s *stream) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Close implements [carrier.Stream].
func (s *stream) Close(cause error) { s.finish(cause) }

// Receive implements [carrier.Stream].
func (s *stream) Receive(item any) error {
	if ended := s.why(); ended != nil {
		return ended
	}
	err := s.receive(item)
	switch {
	case err != nil:
		s.finish(err)
		return s.why()
	case s.typed != nil && !s.typed.ServerStreams:
		s.finish(io.EOF) // that was its only item
	}
	return nil
}

func (s *stream) receive(to any) error {
	item, err := s.next()
	if err == nil {
		err = s.link.carrier.takes(len(item))
	}
	if err != nil {
		return err
	}
	if text, ok := to.(*string); ok {
		*text = string(item)
		return nil
	}
	return proto.Unmarshal(item, to.(proto.Message))
}

// next returns the next item, io.EOF after the last one.
func (s *stream) next() ([]byte, error) {
	if s.ctx.Err() != nil {
		return nil, s.failed(s.ctx)
	}
	if s.taken {
		s.taken = false
		return s.first, nil
	}
	select {
	case item, more := <-s.remote.down:
		if err := s.passed(); err != nil {
			return nil, err
		}
		if !more {
			return nil, cmp.Or(carried(s.remote.result), io.EOF)
		}
		return item, nil
	case <-s.conn.broken:
	case <-s.ctx.Done():
	}
	return nil, s.failed(s.ctx)
}

// Send implements [carrier.Stream].
func (s *stream) Send(message proto.Message) error {
	if s.why() != nil || s.isOver() {
		return io.EOF
	}
	content, err := proto.Marshal(message)
	var bad *rpc.Error
	switch {
	case err != nil:
		bad = unencodable(err)
	case !s.link.carrier.fits(len(content)):
		bad = s.link.carrier.tooLarge(len(content))
	}
	if bad != nil {
		bad.NotStarted = false // the method runs
		s.finish(bad)
		return bad
	}
	select {
	case s.remote.up <- content:
		return nil
	case <-s.remote.over:
	case <-s.conn.broken:
	case <-s.ctx.Done():
	}
	return io.EOF
}

func (s *stream) isOver() bool {
	select {
	case <-s.remote.over:
		return true
	default:
		return false
	}
}

// CloseSend implements [carrier.Stream].
func (s *stream) CloseSend() error {
	if s.typed != nil && s.typed.ClientStreams {
		close(s.remote.closed)
	}
	return nil
}

// Header implements [carrier.Stream].
func (s *stream) Header() (rpc.Metadata, error) {
	select {
	case <-s.remote.signed:
		if err := s.passed(); err != nil {
			return nil, err
		}
		return s.remote.begun, nil
	case <-s.conn.broken:
	case <-s.ctx.Done():
	}
	return nil, s.failed(s.ctx)
}

// Trailer implements [carrier.Stream].
func (s *stream) Trailer() rpc.Metadata {
	if s.isOver() {
		return s.remote.last
	}
	return nil
}

func newEnd() *end {
	return &end{
		up: make(chan []byte, window), closed: make(chan struct{}), down: make(chan []byte, window),
		signed: make(chan struct{}), over: make(chan struct{}), begun: rpc.Metadata{}, last: rpc.Metadata{},
	}
}

// serve runs the method of a stream.
func (e *end) serve(ctx context.Context, in *intake.Intake, m *message) {
	e.ctx = ctx
	if m.request.Typed == nil {
		e.result = in.Multicall(ctx, m.unpack(), func(item string) error { return e.push([]byte(item)) })
	} else {
		e.result = in.Stream(ctx, m.unpack(), e)
	}
	close(e.over)
	close(e.down)
	e.sign.Do(func() { close(e.signed) })
}

func (e *end) push(item []byte) error {
	select {
	case e.down <- item:
		return e.SendHeader(nil)
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

// Send implements [intake.Stream].
func (e *end) Send(item any) error {
	content, err := proto.Marshal(item.(proto.Message))
	if err != nil {
		return err
	}
	return e.push(content)
}

// Receive implements [intake.Stream].
func (e *end) Receive(to any) error {
	content, err := e.pull()
	if err != nil {
		return err
	}
	return proto.Unmarshal(content, to.(proto.Message))
}

func (e *end) pull() ([]byte, error) {
	select {
	case content := <-e.up:
		return content, nil
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	case <-e.closed:
	}
	select {
	case content := <-e.up:
		return content, nil
	default:
		return nil, io.EOF
	}
}

// SetHeader implements [intake.Stream].
func (e *end) SetHeader(md rpc.Metadata) error {
	select {
	case <-e.signed:
		return errors.New("the metadata was already sent")
	default:
	}
	for name, values := range md {
		e.begun[name] = append(e.begun[name], values...)
	}
	return nil
}

// SendHeader implements [intake.Stream].
func (e *end) SendHeader(md rpc.Metadata) error {
	if len(md) > 0 {
		if err := e.SetHeader(md); err != nil {
			return err
		}
	}
	e.sign.Do(func() { close(e.signed) })
	return nil
}

// SetTrailer implements [intake.Stream].
func (e *end) SetTrailer(md rpc.Metadata) {
	for name, values := range md {
		e.last[name] = append(e.last[name], values...)
	}
}

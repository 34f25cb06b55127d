package oslorpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// NewStream begins a stream of a typed service: generated stubs call it. See [Client.Invoke] for who is meant, and for versions and
// errors.
//
// The stream opens at its first message, which says at what version, and with it who can serve it. If the version of the client's target is a later
// one of the same major version, the stream opens at that. Messages after the first are checked against the stream's version: what may
// be dropped is, and anything else that needs a later version ends the stream with the kind [UnsupportedVersion]. Until the first message
// of a stream that the client sends, receiving waits.
//
// The only message of a stream that the server sends goes elsewhere when a server refuses it, as a call does. A stream that the client
// sends is not begun again: a refusal comes as an error for which [SafeToRetry] is true.
//
// [WithTimeout], or [DefaultCallTimeout], bounds finding a server and opening the stream; ctx bounds the whole.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, path string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	m := &typedMessage{client: c, path: path, options: options}
	var err error
	if m.method, err = typed.FindMethod(path); err != nil {
		return nil, m.fail(failure.NotStarted(invalidUse("%v", err)))
	}
	wanted, err := rpc.VersionOrDefault(c.settings.target.Version)
	if err != nil {
		return nil, m.fail(failure.NotStarted(&Error{Kind: InvalidTarget, Message: err.Error()}))
	}
	m.client = c.forService(m.method.Service)
	if m.client.settings.target.Fanout {
		return nil, m.fail(&Error{Kind: InvalidTarget, NotStarted: true, Message: "a stream cannot be used with fanout"})
	}
	s := &typedStream{typedMessage: m, desc: desc, outer: ctx, wanted: wanted, opened: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.mu.Lock() // ctx may have ended
	defer s.mu.Unlock()
	// Not after ctx, whose end would be passed on without its reason.
	s.unhook = context.AfterFunc(s.ctx, func() { s.finish(nil) }) //nolint:contextcheck // It is derived from ctx.
	return s, nil
}

// typedStream is a stream of a typed service. It is safe for concurrent use as far as gRPC's streams are: one goroutine sends while
// another receives.
type typedStream struct {
	*typedMessage

	desc *grpc.StreamDesc
	// wanted is the version of the client's target.
	wanted rpc.Version
	outer  context.Context //nolint:containedctx // It is the caller's.
	ctx    context.Context //nolint:containedctx // It is the stream's own, and ends with it.
	cancel context.CancelCauseFunc

	begun  atomic.Bool   // the stream is being opened, or was
	opened chan struct{} // closed when what follows is settled
	stream grpc.ClientStream
	failed error // of the opening
	at     rpc.Version
	entry  *route.Entry // the instance that has the stream

	seen evidence
	late *time.Timer // bounds the opening
	// placing is how the opening ended: the first to change it from 0 decides.
	placing atomic.Int32
	due     time.Time // when late is to fire

	// sending is held while a later message is sent. A message that cannot be sent ends the stream;
	// the receiving caller waits for the reason.
	sending sync.Mutex

	mu     sync.Mutex
	unhook func() bool
	peer   *peer.Peer // held while the stream lasts
	over   bool
	ended  error // why, if it was not for ctx
}

// Context returns the stream's context.
func (s *typedStream) Context() context.Context { return s.ctx }

// SendMsg sends a message; the first one opens the stream.
func (s *typedStream) SendMsg(message any) error {
	if !s.begun.Swap(true) {
		return s.begin(message)
	}
	if s.open() != nil {
		return io.EOF // as of a stream of gRPC: receiving tells why
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	fitted, err := s.fit(message)
	if err != nil {
		s.finish(err)
		return err
	}
	err = s.stream.SendMsg(fitted)
	if err == nil || errors.Is(err, io.EOF) {
		return err // receiving tells why
	}
	failure := s.explain(s.seen.error(s.outer, err), err)
	if bad, ok := errors.AsType[*Error](unsendable(err, fitted)); ok {
		bad.NotStarted = false // the method runs
		failure = bad
	}
	err = s.fail(delivery.At(failure, s.entry))
	s.finish(err)
	return err
}

// begin opens the stream with its first message. One that only the server sends opens while the caller goes on.
func (s *typedStream) begin(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return s.settle(s.fail(failure.NotStarted(invalidUse("the message is a %T, which is no protobuf message", message))))
	}
	s.message = m
	if err := cmp.Or(s.prepareStream(), encodable(m)); err != nil { // a stream whose first message fails would have begun
		return s.settle(s.fail(err))
	}
	if !s.desc.ClientStreams {
		go func() { _ = s.settle(s.fail(s.place(true))) }()
		return nil
	}
	return s.settle(s.fail(s.place(true)))
}

// prepareStream is prepare with the version of the client's target.
func (s *typedStream) prepareStream() error {
	if err := s.prepare(s.outer); err != nil {
		return failure.NotStarted(err)
	}
	if s.wanted.Major != s.first.Major {
		return nil
	}
	s.raise(s.wanted)
	return failure.NotStarted(s.cap())
}

// raise sets the lowest version for the stream, whatever the first message can do without: later
// messages may need it.
func (s *typedStream) raise(least rpc.Version) {
	isLower := func(v rpc.Version) bool { return v.Compare(least) < 0 }
	if isLower(s.first) {
		s.first, s.lesser = least, nil
		return
	}
	kept := slices.DeleteFunc(slices.Clone(s.lesser), isLower)
	if len(kept) < len(s.lesser) && s.first != least && !slices.Contains(kept, least) {
		kept = append(kept, least)
	}
	s.lesser = kept
}

// settle notes how the opening ended and lets those who wait for it go on.
func (s *typedStream) settle(err error) error {
	s.failed = err
	close(s.opened)
	if err != nil {
		s.finish(err)
	}
	return err
}

// fit returns a later message as it may be sent at the stream's version. Its errors do not say that nothing was started: the method runs.
func (s *typedStream) fit(message any) (any, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, s.fail(&Error{Kind: Invalid, Message: fmt.Sprintf("the message is a %T, which is no protobuf message", message)})
	}
	if err := s.client.fits(proto.Size(m)); err != nil {
		return nil, s.fail(err)
	}
	need := s.method.Need(m)
	switch {
	case s.at.Serves(need.Version):
		return m, nil
	case s.at.Serves(need.Floor):
		return s.method.Fit(m, s.at), nil
	}
	e, _ := s.method.Blame(m, s.at)
	return nil, s.fail(&Error{Kind: UnsupportedVersion, Message: fmt.Sprintf(
		"field %s of %s needs version %s, and the stream was opened at %s: open it with a message that needs as much, or with WithVersion",
		e.Path, m.ProtoReflect().Descriptor().FullName(), e.Since, s.at)})
}

// RecvMsg receives a message, when the stream is open.
func (s *typedStream) RecvMsg(message any) error {
	if err := s.open(); err != nil {
		return err
	}
	var expected expected
	if !s.desc.ServerStreams {
		expected = expect(message)
	}
	err := s.stream.RecvMsg(message)
	if expected.came() || err == nil {
		s.seen.replied.Store(true)
	}
	switch {
	case err == nil && s.desc.ServerStreams:
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		s.sending.Lock()
		ended := s.end()
		s.sending.Unlock()
		if ended != nil {
			return ended
		}
		s.seen.end(s.stream)
		err = s.fail(delivery.At(s.explain(s.seen.error(s.outer, err), err), s.entry))
	}
	s.finish(err)
	return err
}

// open waits until the stream is open, or will not be, and returns why.
func (s *typedStream) open() error {
	select {
	case <-s.opened:
		return s.failed
	case <-s.ctx.Done():
	}
	if s.begun.Swap(true) { // the opening ends with ctx, and knows what was sent
		<-s.opened
		return s.failed
	}
	e := &Error{Kind: Canceled, NotStarted: true, Cause: context.Cause(s.ctx), Message: "canceled before a message opened the stream"}
	if errors.Is(e.Cause, context.DeadlineExceeded) {
		e.Kind, e.Message = Timeout, "the deadline passed before a message opened the stream"
	}
	return s.settle(s.fail(e))
}

// CloseSend says that no message follows; a stream without any is opened by it.
func (s *typedStream) CloseSend() error {
	if !s.begun.Swap(true) {
		if err := s.prepareStream(); err != nil {
			return s.settle(s.fail(err))
		}
		if err := s.settle(s.fail(s.place(false))); err != nil {
			return err
		}
	}
	if s.desc.ClientStreams && s.open() == nil {
		return s.stream.CloseSend()
	}
	return nil // it was closed with its only message, or receiving tells why there is none
}

// Header returns the server's headers, when the stream is open and they have come.
func (s *typedStream) Header() (metadata.MD, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.stream.Header()
}

// Trailer returns the server's trailers, when the stream has ended.
func (s *typedStream) Trailer() metadata.MD {
	select {
	case <-s.opened:
		if s.stream != nil {
			return s.stream.Trailer()
		}
	default:
	}
	return nil
}

// hold keeps the connection while the stream lasts; the delivery, which holds it until it returns, does so now.
func (s *typedStream) hold(p *peer.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && p.Acquire() {
		s.peer = p
	}
}

// end returns the error that ended the stream, nil if none did.
func (s *typedStream) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// finish ends the stream, if it has not ended, and frees what it held.
func (s *typedStream) finish(cause error) {
	s.mu.Lock()
	p, unhook := s.peer, s.unhook
	s.peer, s.over, s.ended = nil, true, cmp.Or(s.ended, cause)
	s.mu.Unlock()
	unhook()
	s.cancel(cause)
	if p != nil {
		p.Release()
	}
}

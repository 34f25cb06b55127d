package client

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// refuse ends a stream that cannot be opened. Nothing was sent.
func (s *Stream) refuse(err error) error {
	err = s.name(failure.NotStarted(err))
	s.settle(err)
	s.conclusion = err
	close(s.concluded)
	return err
}

// begin opens the stream. A stream on which only the server sends opens in the background.
func (s *Stream) begin() error {
	if err := s.prepare(s.ctx); err != nil {
		return s.refuse(err)
	}
	streams := s.request.Typed.ClientStreams
	if streams && !s.isIntercepted() {
		s.carry()
	} else {
		go s.carry()
	}
	if !streams {
		return nil
	}
	<-s.opened
	return s.whyFailed()
}

func (s *Stream) isIntercepted() bool { return len(s.client.transport.sends) > 0 }

// carry opens the stream within the interceptors, which return when the stream has ended.
func (s *Stream) carry() {
	err := s.intercepted(s.ctx, s)
	if s.conclusion = err; err == nil {
		err = s.name(failure.Invalid("an interceptor neither opened the stream nor returned an error"))
	}
	s.settle(err)
	close(s.concluded)
}

// deliver opens the stream. With interceptors it returns when the stream has ended.
func (s *Stream) deliver(ctx context.Context) error {
	err := s.place(ctx)
	s.settle(err)
	if err != nil || !s.isIntercepted() {
		return err
	}
	select {
	case <-s.over:
	case <-ctx.Done():
		select {
		case <-s.over: // the end of the stream ended ctx
		default:
			s.end(s.about(abandoned(ctx), s.from))
		}
	}
	return s.whyEnded()
}

// abandoned returns the error of a stream whose ctx ended first.
func abandoned(ctx context.Context) error {
	e := &rpc.Error{Kind: rpc.Canceled, Cause: context.Cause(ctx), Message: "canceled before the stream ended; the method may have run"}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Message = rpc.Timeout, "the deadline passed before the stream ended; the method may have run"
	}
	return e
}

// settle records how the opening ended, unless that is recorded already, and wakes the callers that
// wait for it.
func (s *Stream) settle(err error) {
	select {
	case <-s.opened:
		return
	default:
	}
	s.failed = err
	close(s.opened)
	if err != nil {
		s.end(err)
	}
}

// end ends the stream. It does nothing if the stream has ended.
func (s *Stream) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.over:
		return
	default:
	}
	s.ended = why
	close(s.over)
	s.cancel(why)
	if s.stream != nil {
		s.stream.Close(why)
	}
}

// whyEnded returns why the stream ended, or nil if it is complete.
func (s *Stream) whyEnded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// conclude returns the error of an ended stream, as the interceptors returned it.
func (s *Stream) conclude(err error) error {
	if !s.isIntercepted() {
		return err
	}
	<-s.concluded
	switch {
	case s.conclusion != nil:
		return s.conclusion
	case s.failed != nil:
		return s.failed
	case err == nil || !s.request.Typed.ServerStreams:
		return nil
	default:
		return io.EOF
	}
}

// place finds a server that takes the stream, and its first message if there is one.
func (s *Stream) place(ctx context.Context) error {
	begun, budget := time.Now(), DefaultCallTimeout
	if c := &s.client.settings; c.HasTimeout {
		budget = c.Timeout
	}
	if !s.request.Typed.ClientStreams {
		s.request.Sent = s.clock.pause
	}
	s.clock.start(budget, func() { s.cancel(errNotOpened) })
	err := delivery.One(ctx, s.client.watched(), &s.message, s.attempt)
	inTime := s.clock.stop()
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errNotOpened):
		return failure.With(err, func(e *rpc.Error) {
			e.Kind, e.Cause, e.Message, e.Waited = rpc.Timeout, err, errNotOpened.Message+": "+err.Error(), budget
		})
	case err == nil && !inTime:
		return s.about(&rpc.Error{Kind: rpc.Timeout, Cause: errNotOpened, Waited: budget, Message: errNotOpened.Message + "; the method may have run"}, s.from)
	}
	return waitedToBegin(ctx, begun, err)
}

// errNotOpened is the cause when a stream found no server in time.
var errNotOpened = &rpc.Error{Kind: rpc.Timeout, Message: "the stream was not opened within the timeout"}

// attempt opens the stream at one instance. After a refusal, the clock runs again.
func (s *Stream) attempt(ctx context.Context, a delivery.Attempt) error {
	s.from, s.at = a.Entry, s.form(a.Variant).version
	stream, err := s.open(ctx, a)
	if err != nil {
		s.clock.resume()
		return err
	}
	s.stream = stream
	return nil
}

// clock bounds the opening of a stream. It pauses while a server has the message and prepares its
// answer, which may take as long as the method needs.
type clock struct {
	timer *time.Timer
	due   time.Time
	left  time.Duration // while it is paused
	// ended is how the clock ended: the first change decides.
	ended atomic.Int32
}

const (
	runsOut int32 = iota + 1
	stopped
)

func (c *clock) start(budget time.Duration, late func()) {
	c.due = time.Now().Add(budget)
	c.timer = time.AfterFunc(budget, func() {
		if c.ended.CompareAndSwap(0, runsOut) {
			late()
		}
	})
}

func (c *clock) pause() {
	c.timer.Stop()
	c.left = time.Until(c.due)
}

func (c *clock) resume() {
	if c.left != 0 {
		c.due = time.Now().Add(c.left)
		c.timer.Reset(c.left)
		c.left = 0
	}
}

// stop stops the clock, and reports whether it did so in time.
func (c *clock) stop() bool {
	c.timer.Stop()
	return c.ended.CompareAndSwap(0, stopped)
}

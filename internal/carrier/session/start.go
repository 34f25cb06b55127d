package session

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// started is a sent cast whose caller does not wait for the result yet.
type started struct {
	ctx     context.Context //nolint:containedctx // It is of the message.
	session *session
	pending *pending
	typed   *carrier.Typed
}

// Start implements [carrier.Starter]. It uses only an existing session, and does not wait for one.
func (l *link) Start(ctx context.Context, r *carrier.Request) carrier.Started {
	s := l.current.Load()
	if s == nil || r.Mode != carrier.Cast || r.Peer != nil || !l.takes(r) {
		return nil
	}
	if server := s.server.Load(); l.Line() != server.line || !l.Proves(server.security, r.Meant) {
		return nil
	}
	p, how := s.begin(ctx, r)
	if how != isSent {
		return nil
	}
	return &started{ctx, s, p, r.Typed}
}

// Wait implements [carrier.Started].
func (m *started) Wait(late <-chan struct{}) (err error, ended bool) {
	if late != nil && !m.pending.endsBefore(late) {
		return nil, false
	}
	_, err, how := m.session.finish(m.ctx, m.pending, &carrier.Request{Mode: carrier.Cast, Typed: m.typed})
	if how != isSent {
		err = carrier.ErrUnsent
	}
	return err, true
}

// endsBefore reports whether a message ends before a channel is closed.
func (p *pending) endsBefore(late <-chan struct{}) bool {
	select {
	case <-p.done:
	default:
		select {
		case <-p.done:
		case <-late:
			return false
		}
	}
	p.done <- struct{}{} // for the caller
	return true
}

// takes reports whether a message may be sent to the process in a session.
func (l *link) takes(r *carrier.Request) bool {
	return (l.announced.Load() || l.carrier.config.Always) && l.carrier.TakesSessions() && suits(r)
}

// meet notes that the process has a session.
func (l *link) meet() {
	l.came(true)
	l.waiting.Lock()
	l.met = true
	l.waiting.Unlock()
}

func (l *link) hasMet() bool {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	return l.met
}

// expect begins a session, except for the first message that asks for one, since a single message
// needs none. If the process is known to have sessions, expect waits for one. It continues to wait
// when a session is lost again.
func (l *link) expect(ctx context.Context, r *carrier.Request, end *time.Time) *session {
	if !l.asked.Swap(true) && !l.isKnown() {
		return nil
	}
	if end.IsZero() {
		patience := firstTime
		if l.hasMet() {
			patience = returnTime
		}
		if deadline, ok := ctx.Deadline(); ok {
			patience = min(patience, time.Until(deadline)/2)
		}
		*end = time.Now().Add(patience)
	}
	for {
		l.begin(r.Meant)
		if s := l.await(ctx, *end); s != nil {
			return s
		}
		next := time.Now().Add(minRetry)
		if at := l.next.Load(); at != never { // else one is being opened, or ends
			next = time.Unix(0, max(at, next.UnixNano()))
		}
		if ctx.Err() != nil || !l.isKnown() || l.Absent() || l.Mistrusted() || l.Capacity() < minStreams || next.After(*end) {
			return nil
		}
		pause(ctx, time.Until(next))
	}
}

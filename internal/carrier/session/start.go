package session

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// started is a message that was sent, and whose caller does not wait yet.
type started struct {
	ctx     context.Context //nolint:containedctx // It is of the message.
	session *session
	pending *pending
	request *carrier.Request
}

// Start implements [carrier.Starter]. It sends nothing beside a session, nor waits for one.
func (l *link) Start(ctx context.Context, r *carrier.Request) carrier.Started {
	s := l.current.Load()
	if s == nil || !l.takes(r) {
		return nil
	}
	if server := s.server.Load(); l.Line() != server.line || !l.Proves(server.security, r.Meant) {
		return nil
	}
	p, how := s.begin(ctx, r)
	if how != isSent {
		return nil
	}
	return &started{ctx, s, p, r}
}

// Wait implements [carrier.Started].
func (m *started) Wait(late <-chan struct{}) (reply carrier.Reply, err error, ended bool) {
	if late != nil && !m.pending.endsBefore(late) {
		return reply, nil, false
	}
	reply, err, how := m.session.finish(m.ctx, m.pending, m.request)
	if how != isSent {
		reply, err = m.session.link.Do(m.ctx, m.request)
	}
	return reply, err, true
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

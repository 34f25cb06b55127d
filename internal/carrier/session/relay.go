package session

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// begun is a message whose waiter learns of its end from the goroutine that receives.
type begun struct {
	*session

	ctx     context.Context //nolint:containedctx // It is of the message.
	request *carrier.Request
	waiter  carrier.Waiter
	pending pending
}

var _ carrier.Relay = (*link)(nil)

// Begin implements [carrier.Relay]. It uses only an existing session, and does not wait for one.
func (l *link) Begin(ctx context.Context, r *carrier.Request, w carrier.Waiter) carrier.Begun {
	s := l.current.Load()
	if s == nil || r.Silence > 0 || r.Peer != nil || !l.takes(r) {
		return nil
	}
	if server := s.server.Load(); l.Line() != server.line || !l.Proves(server.security, r.Meant) {
		return nil
	}
	b := &begun{session: s, ctx: ctx, request: r, waiter: w}
	b.pending.begun = b
	if !s.encode(ctx, r, &b.pending) || s.push(&b.pending) != isSent {
		return nil
	}
	return b
}

// Through implements [carrier.Begun].
func (b *begun) Through() carrier.Drainer { return b.session }

// Leave implements [carrier.Begun].
func (b *begun) Leave() {
	if err := b.leave(b.ctx, &b.pending, nil); err != nil {
		drain(b.waiter.Answered(carrier.Reply{}, err))
	}
}

// tell tells the waiter the outcome of the message, which has ended.
func (b *begun) tell() carrier.Drainer {
	p := &b.pending
	switch {
	case p.unsent:
		b.waiter.Unsent()
		return nil
	case p.err != nil:
		return b.waiter.Answered(carrier.Reply{}, p.err)
	default:
		return b.waiter.Answered(b.reply(b.ctx, &p.result, b.request))
	}
}

// tellAll tells all waiters whose messages have ended.
func (s *session) tellAll() {
	s.Lock()
	told := s.telling
	s.telling = nil
	s.Unlock()
	var drains []carrier.Drainer
	for _, b := range told {
		if d := b.tell(); d != nil && !slices.Contains(drains, d) {
			drains = append(drains, d)
		}
	}
	for _, d := range drains {
		d.Drain()
	}
}

func drain(d carrier.Drainer) {
	if d != nil {
		d.Drain()
	}
}

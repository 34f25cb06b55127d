package service

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// What follows bounds the results that sessions keep.

// reserve claims room for a result, if the client has left as much unread as it may. It returns
// false if there is no room because the caller is gone.
func (e *entry) reserve(n int) bool {
	s := e.session
	s.Lock()
	free := e.forgotten || e.answer != nil || s.held+n <= freeBytes
	s.Unlock()
	return free || e.claim(n) == nil
}

// claim claims room for a result of n bytes, in place of an earlier claim. It waits for room only
// while the session has a stream, because an absent client must not hold back others.
func (e *entry) claim(n int) (err error) {
	e.giveBack()
	ctx, settle := context.WithCancel(e.ctx)
	defer settle()
	e.session.Lock()
	if e.settle = settle; e.session.on == nil {
		settle()
	}
	e.session.Unlock()
	if e.answer, err = inbound.ClaimAnswer(ctx, e.on.ctx, n); err != nil && e.ctx.Err() == nil {
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the connection was lost, and the server has no room to keep the result; the method ran"}
	}
	return err
}

func (e *entry) giveBack() {
	if e.answer != nil {
		e.answer()
	}
	e.answer = nil
}

// bound bounds what sessions without a stream keep. If a caller has too many of them, it drops the
// one that lost its stream first. If all of them together keep too much, it drops the results of
// those that keep most.
func (s *sessions) bound(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.trim() {
	}
	n, first := 0, (*session)(nil)
	var since time.Time
	for key, ss := range s.all {
		if key.owner != owner {
			continue
		}
		ss.Lock()
		if ss.on == nil && !ss.dropped {
			n++
			if first == nil || ss.lost.Before(since) {
				first, since = ss, ss.lost
			}
		}
		ss.Unlock()
	}
	if n > maxLost {
		first.Lock()
		defer first.Unlock()
		if first.on == nil && !first.dropped {
			first.drop()
		}
	}
}

// trim drops the results of the session without a stream that keeps most. It returns false if such
// sessions are within their bound. The lock is held.
func (s *sessions) trim() bool {
	total, most, largest := 0, 0, (*session)(nil)
	for _, ss := range s.all {
		ss.Lock()
		if ss.on == nil && !ss.dropped {
			if total += ss.held; ss.held > most {
				most, largest = ss.held, ss
			}
		}
		ss.Unlock()
	}
	if total <= keptBytes {
		return false
	}
	largest.Lock()
	defer largest.Unlock()
	for _, e := range largest.entries {
		if largest.on == nil && e.done {
			largest.forget(e)
		}
	}
	return true
}

package service

import (
	"slices"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// A gateway forwards most messages of sessions in other sessions, without a goroutine for each. The
// goroutine that reads the messages of a client sends them on, and the goroutine that reads the
// answers of a server sends those back. So messages that came together travel together. Unusual
// messages, and messages that would have to wait, take the usual way.

// relayQuota is how many bytes of unacknowledged results a client may have before sending to it
// might block.
const relayQuota = 48 << 10

// relay forwards the messages that were read, or has them run.
func (s *session) relay() {
	s.Lock()
	begun := s.begun
	s.begun = nil
	s.Unlock()
	var drains []intake.Drainer
	for _, e := range begun {
		d, ok := e.relay()
		if !ok {
			e.on.workers.run(e)
		} else if d != nil && !slices.Contains(drains, d) {
			drains = append(drains, d)
		}
	}
	for _, d := range drains {
		d.Drain()
	}
}

// relay forwards a message. It returns false if the message must run here instead; nothing was sent
// then.
func (e *entry) relay() (intake.Drainer, bool) {
	m := &e.head
	_, bounded := e.life.Deadline()
	if m.Path != "" || m.Encoded != nil || e.in.InstanceID == "" || m.Mode > pb.SessionMode_SESSION_MODE_CAST || !bounded {
		return nil, false
	}
	var err error
	if e.account, err = inbound.OpenMessage(e.on.sender); err == nil {
		err = e.read()
	}
	var begun intake.Begun
	if err == nil {
		in := &e.in
		if begun, err = e.session.services.intake.Begin(e.ctx, &in.Message, m.Mode == pb.SessionMode_SESSION_MODE_CAST, e); err != nil {
			err = in.status(err)
		}
	}
	switch {
	case err != nil:
		e.leave()
		e.cancel()
		e.fail(err)
		return nil, true
	case begun == nil:
		e.leave()
		e.in.Again()
		return nil, false
	}
	e.life.whenOver(begun.Leave)
	return begun.Through(), true
}

// Answered implements [intake.Waiter].
func (e *entry) Answered(result string, err error) intake.Drainer {
	e.life.settle()
	err = e.session.services.intake.Relayed(&e.in.Message, result, err)
	if !e.tryClaim(len(result)) {
		go func() { // there may be room for it later
			if claimed := e.claim(len(result)); err == nil {
				err = e.in.Sign(claimed)
			}
			e.conclude(result, err)
			e.session.Drain()
		}()
		return nil
	}
	e.conclude(result, err)
	return e.session
}

// conclude settles a message that was forwarded, with its result or an error.
func (e *entry) conclude(result string, err error) {
	defer e.cancel()
	defer e.leave()
	r := &wire.SessionResult{Outcome: wire.Returned, Text: result}
	switch {
	case err != nil:
		r = failed(e.in.status(err))
	case e.head.Mode == pb.SessionMode_SESSION_MODE_CAST:
		r = &wire.SessionResult{Outcome: wire.Accepted}
	}
	e.settleWith(r, nil)
}

// Unsent implements [intake.Waiter].
func (e *entry) Unsent() {
	e.life.settle()
	e.leave()
	e.in.Again()
	e.on.workers.run(e)
}

// tryClaim is claim that does not wait for room. It returns false if there is none.
func (e *entry) tryClaim(n int) (ok bool) {
	e.answer, ok = inbound.TryClaimAnswer(e.on.ctx, n)
	return ok
}

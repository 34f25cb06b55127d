package inbound

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/limits"
)

// minRate is how fast a message must come on the whole, in bytes a second, so that it may take
// longer than the limit for its progress.
const minRate = 256 << 10

// ticks is how often in the time for progress the guard looks at the streams.
const ticks = 10

// watch has the guard look at its streams from time to time, as long as there is something to look
// at. The lock is held.
func (g *guard) watch() {
	if g.ticking || g.closed {
		return
	}
	g.ticking = true
	if g.ticker == nil {
		g.ticker = time.AfterFunc(g.budget.Limits.Progress/ticks, g.tick)
	} else {
		g.ticker.Reset(g.budget.Limits.Progress / ticks)
	}
}

// tick resets the streams that make no progress.
func (g *guard) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ticking = false
	now, limit := time.Now(), g.budget.Limits.Progress
	if g.in.within() && now.Sub(g.moved) > limit || g.isStuck(now) {
		g.budget.Refused(limits.NoProgress, g.caller.String())
		go g.conn.Close() // gRPC gets the error of what it does with it
		return
	}
	again, hinders := g.in.within() || g.written.Load() != 0, g.isWaitedFor()
	for id, s := range g.streams {
		if why := s.isLate(now, limit, hinders); why != "" {
			g.reset(id, why)
			continue
		}
		again = again || s.isUnfinished() || s.unread > 0
	}
	if again {
		g.watch()
	}
}

// isLate returns why a stream is to be reset, empty if it is not. Hinders says whether answers that
// are not read hold back others.
func (s *stream) isLate(now time.Time, limit time.Duration, hinders bool) limits.Reason {
	switch {
	case s.isUnfinished() && s.isSlow(now, limit):
		return limits.Unfinished
	case hinders && s.unread > 0 && now.Sub(s.progress) > limit:
		return limits.Unread
	default:
		return ""
	}
}

// isStuck reports whether the peer takes nothing, not even what has no window of its own. It may
// take longer if nothing is held back by that.
func (g *guard) isStuck(now time.Time) bool {
	since := g.written.Load()
	if since == 0 {
		return false
	}
	lasts, limit := now.Sub(time.Unix(0, since)), g.budget.Limits.Progress
	return lasts > 3*limit || lasts > limit && g.isWaitedFor()
}

// isWaitedFor reports whether answers wait because of one of the connection's callers. The lock is
// held.
func (g *guard) isWaitedFor() bool {
	for _, account := range g.accounts {
		if g.budget.Answers.Waits(account) {
			return true
		}
	}
	return g.budget.Answers.Waits(g.caller)
}

// isUnfinished reports whether a part of a message is there, and the peer may send the rest.
func (s *stream) isUnfinished() bool {
	return s.content.within() && (!s.waits || s.content.length <= StreamWindow)
}

// isSlow reports whether the rest of a message should have come.
func (s *stream) isSlow(now time.Time, limit time.Duration) bool {
	most := limit + time.Duration(s.content.length/minRate)*time.Second
	return now.Sub(s.moved) > limit || now.Sub(s.begun) > most
}

// reset ends a stream at both ends. The lock is held.
func (g *guard) reset(id uint32, why limits.Reason) {
	g.budget.Refused(why, g.caller.String())
	g.end(id)
	f := number(typeReset, id, codeEnhanceYourCalm)
	g.inject = append(g.inject, f...)
	g.woken = true
	_ = g.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the connection is over
	go g.send(f)
}

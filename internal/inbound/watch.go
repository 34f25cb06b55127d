package inbound

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/limits"
)

// minRate is the minimum average rate of a large message, in bytes per second. At this rate, a
// message may take longer than the limit for progress.
const minRate = 256 << 10

// ticks is how many times within the limit for progress the guard checks the streams.
const ticks = 10

// watch makes the guard check its streams regularly, while there is anything to check. The caller
// holds the lock.
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

// isLate returns why a stream must be reset, or an empty reason. Hinders says whether unread
// answers hold back other answers.
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

// isStuck reports whether the peer reads nothing, not even frames that need no window. It may take
// longer if no other answer waits for it.
func (g *guard) isStuck(now time.Time) bool {
	since := g.written.Load()
	if since == 0 {
		return false
	}
	lasts, limit := now.Sub(time.Unix(0, since)), g.budget.Limits.Progress
	return lasts > 3*limit || lasts > limit && g.isWaitedFor()
}

// isWaitedFor reports whether other answers wait for memory that a caller on this connection holds.
// The caller holds the lock.
func (g *guard) isWaitedFor() bool {
	for _, account := range g.accounts {
		if g.budget.Answers.Waits(account) {
			return true
		}
	}
	return g.budget.Answers.Waits(g.caller)
}

// isUnfinished reports whether a message is incomplete although the peer may send the rest.
func (s *stream) isUnfinished() bool {
	return s.content.within() && (!s.waits || s.content.length <= StreamWindow)
}

// isSlow reports whether the rest of a message is overdue.
func (s *stream) isSlow(now time.Time, limit time.Duration) bool {
	most := limit + time.Duration(s.content.length/minRate)*time.Second
	return now.Sub(s.moved) > limit || now.Sub(s.begun) > most
}

// reset ends a stream for the peer and for gRPC. The caller holds the lock.
func (g *guard) reset(id uint32, why limits.Reason) {
	g.budget.Refused(why, g.caller.String())
	g.end(id)
	f := number(typeReset, id, codeEnhanceYourCalm)
	g.inject = append(g.inject, f...)
	g.woken = true
	_ = g.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the connection is over
	go g.send(f)
}

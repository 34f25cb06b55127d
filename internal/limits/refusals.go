package limits

import (
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Reason is a limit that something went beyond, in words.
type Reason string

// The reasons.
const (
	Connections Reason = "too many connections"
	Streams     Reason = "too many open RPCs"
	Unfinished  Reason = "a request was not finished in time"
	Unread      Reason = "an answer was not read in time"
	DecodedSize Reason = "a message is too large as values"
	Depth       Reason = "a message is nested too deeply"
	Rate        Reason = "too many messages a second"
	WorkerShare Reason = "the queue has no more room for this caller"
	NoProgress  Reason = "a connection made no progress"
)

// logInterval is how often each reason is logged at most.
const logInterval = time.Second

// refusals counts what is refused, and logs it: the first one at once, and the others together,
// once in an interval.
type refusals struct {
	log *slog.Logger

	mu      sync.Mutex
	counts  map[Reason]int64
	pending map[Reason]*pending
}

// pending is what was refused for a reason since it was logged.
type pending struct {
	count  int64
	caller string // the last one
}

// Refused counts a refusal.
func (b *Budget) Refused(why Reason, caller string) {
	r := &b.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts, r.pending = map[Reason]int64{}, map[Reason]*pending{}
	}
	r.counts[why]++
	if p := r.pending[why]; p != nil {
		p.count++
		p.caller = caller
		return
	}
	r.pending[why] = &pending{}
	r.log.Warn("a limit was reached", "why", string(why), "caller", caller, "refused", 1)
	time.AfterFunc(logInterval, func() { r.flush(why) })
}

// flush logs what was refused since the last time, and goes on as long as there is something.
func (r *refusals) flush(why Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[why]
	if p.count == 0 {
		delete(r.pending, why)
		return
	}
	r.log.Warn("a limit was reached", "why", string(why), "caller", p.caller, "refused", p.count)
	*p = pending{}
	time.AfterFunc(logInterval, func() { r.flush(why) })
}

// Refusals returns how often each limit was reached.
func (b *Budget) Refusals() map[Reason]int64 {
	b.refusals.mu.Lock()
	defer b.refusals.mu.Unlock()
	return maps.Clone(b.refusals.counts)
}

package limits

import (
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Reason is a text that names the limit which was exceeded.
type Reason string

// These are the reasons.
const (
	Connections Reason = "too many connections"
	Streams     Reason = "too many open RPCs"
	Unfinished  Reason = "a request was not finished in time"
	Unread      Reason = "an answer was not read in time"
	DecodedSize Reason = "a message is too large when decoded"
	Depth       Reason = "a message is nested too deeply"
	Rate        Reason = "too many messages a second"
	WorkerShare Reason = "the queue has no more room for this caller"
	NoProgress  Reason = "a connection made no progress"
)

// logInterval is the minimum time between two log lines for the same reason.
const logInterval = time.Second

// refusals counts and logs refusals: the first at once, and later ones together, once per interval.
type refusals struct {
	log *slog.Logger

	mu      sync.Mutex
	counts  map[Reason]int64
	pending map[Reason]*pending
}

// pending counts the refusals for a reason since the last log line.
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

// flush logs the refusals since the last log line. It repeats itself until there were none.
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

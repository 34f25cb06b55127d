package dispatch

import "github.com/oslorpc/oslorpc/internal/limits"

// holder counts the messages of one caller in a queue and on its workers, to enforce the caller's
// share. The queue's lock guards it. A nil holder has no limits.
type holder struct {
	caller *limits.Caller
	parent *holder // the holder of the caller's parent, whose share bounds this one as well

	running, waiting, bytes int
	// maxRunning, maxWaiting and maxBytes are the caller's share.
	maxRunning, maxWaiting, maxBytes int
	// atOnce is the shared ticket; see [queue.shared].
	atOnce *ticket
}

// Smaller limits than these are not divided into shares: each caller may use all of them.
const (
	dividedWorkers = 8
	dividedQueue   = 100
	dividedBytes   = 1 << 20
)

// maxIdleHolders is how many unused holders a queue keeps.
const maxIdleHolders = 64

// holder returns the holder of a caller, or nil if there is no caller. The lock is held.
func (q *queue) holder(c *limits.Caller) *holder {
	if c == nil {
		return nil
	}
	if h := q.holders[c]; h != nil {
		return h
	}
	if len(q.holders) >= maxIdleHolders {
		for at, h := range q.holders {
			if h.running == 0 && h.waiting == 0 {
				delete(q.holders, at)
			}
		}
	}
	if q.holders == nil {
		q.holders = map[*limits.Caller]*holder{}
	}
	h := &holder{
		caller: c, parent: q.holder(c.Parent()),
		maxRunning: c.PartOfWorkers(q.limits.Workers, dividedWorkers), maxWaiting: c.Part(q.limits.Queue, dividedQueue),
		maxBytes: c.Part(q.limits.QueueBytes, dividedBytes),
	}
	q.holders[c] = h
	return h
}

// isCrowdedBy reports whether a message of a caller may not wait because the caller has used up its
// share.
func (q *queue) isCrowdedBy(c *limits.Caller, size int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.holder(c).mayWait(size)
}

// mayRun reports whether a message of the holder may have another worker.
func (h *holder) mayRun() bool {
	for ; h != nil; h = h.parent {
		if h.running >= h.maxRunning {
			return false
		}
	}
	return true
}

// mayWait reports whether a message of the holder may wait.
func (h *holder) mayWait(size int) bool {
	for ; h != nil; h = h.parent {
		if h.waiting >= h.maxWaiting || h.waiting > 0 && h.bytes+size > h.maxBytes {
			return false
		}
	}
	return true
}

// runs records that n more messages of the holder run.
func (h *holder) runs(n int) {
	for ; h != nil; h = h.parent {
		h.running += n
	}
}

// waits records that n more messages of the holder wait, with a total size.
func (h *holder) waits(n, size int) {
	for ; h != nil; h = h.parent {
		h.waiting += n
		h.bytes += size
	}
}

package dispatch

import (
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/phase"
)

// Limits bound how many messages a server runs and keeps at a time.
type Limits struct {
	// Workers is how many messages run at once.
	Workers int
	// Queue is how many further messages wait for a worker.
	Queue int
	// QueueBytes is the maximum total size of the waiting messages. One message is always admitted to
	// an empty queue.
	QueueBytes int
}

// DefaultLimits are 64 workers, as in oslo.messaging, and at most 1,000 waiting messages of 64 MiB
// in total. Oslo.messaging does not bound waiting messages.
var DefaultLimits = Limits{Workers: 64, Queue: 1000, QueueBytes: 64 << 20}

// queue admits messages, and assigns workers to them in the order of their arrival. A worker is a
// permit to run, not a goroutine. Messages with the same order key run one at a time.
type queue struct {
	limits Limits
	phase  *phase.Machine // while it holds, no message gets a worker

	mu      sync.Mutex
	running int
	ready   line // messages that wait for a worker, and for nothing else
	waiting int
	bytes   int
	refused int64
	arrived uint64
	// lanes are the order keys of messages that run or wait. It is made at first use.
	lanes map[string]*lane
	// atOnce is the shared ticket of messages without a holder; see [queue.shared]. It is made at
	// first use.
	atOnce *ticket
	// holders are the callers that have messages here. It is made at first use.
	holders map[*limits.Caller]*holder
}

// lane is the messages with one order key. The first of them runs or is in the ready line, and the
// others wait for it in next.
type lane struct {
	key  string
	next line
}

// ticket stands for an admitted message in the queue. The message leaves the queue when done is
// called, or when wait returns an error.
type ticket struct {
	queue      *queue
	holder     *holder
	size       int
	arrived    uint64        // its place in the order of arrival
	lane       *lane         // nil without an order key
	turn       chan struct{} // closed when a worker is free; nil if one was free at once
	in         *line         // the line that it waits in; nil if it has a worker. Guarded by the queue's lock
	prev, next *ticket
}

// admit admits a message of size bytes. Caller may be nil, and key empty. Admit returns nil if the
// queue is full, or the caller has used up its share of it.
func (q *queue) admit(size int, caller *limits.Caller, key string) *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	h := q.holder(caller)
	mine := q.lanes[key] // no lane has the empty key
	free := q.free() && h.mayRun()
	atOnce := mine == nil && q.ready.first == nil && free
	switch {
	case atOnce && key == "":
		q.run(h)
		return q.shared(h)
	case !atOnce && (!q.mayWait(size) || !h.mayWait(size)):
		q.refused++
		return nil
	}
	q.arrived++
	t := &ticket{queue: q, holder: h, size: size, arrived: q.arrived, lane: mine}
	if key != "" && mine == nil {
		t.lane = q.open(key)
	}
	switch {
	case atOnce:
		q.run(h)
		return t
	case mine != nil:
		q.wait(t, &mine.next)
	default:
		q.wait(t, &q.ready)
		q.handOut() // the messages before it may have used up their callers' shares, so this one may run
	}
	return t
}

// mayWait reports whether a message of size bytes may wait. The lock is held.
func (q *queue) mayWait(size int) bool {
	return q.waiting < q.limits.Queue && (q.waiting == 0 || q.bytes+size <= q.limits.QueueBytes)
}

// shared returns the ticket that all messages of a holder share if they have no order key and got a
// worker at once. Nothing distinguishes such messages, and sharing saves an allocation. The lock is
// held.
func (q *queue) shared(h *holder) *ticket {
	at := &q.atOnce
	if h != nil {
		at = &h.atOnce
	}
	if *at == nil {
		*at = &ticket{queue: q, holder: h}
	}
	return *at
}

// run records that a message of a holder runs. The lock is held.
func (q *queue) run(h *holder) {
	q.running++
	h.runs(1)
}

// open begins a lane.
func (q *queue) open(key string) *lane {
	if q.lanes == nil {
		q.lanes = map[string]*lane{}
	}
	l := &lane{key: key}
	q.lanes[key] = l
	return l
}

// wait puts a ticket into a line until its turn. The lock is held.
func (q *queue) wait(t *ticket, in *line) {
	t.turn = make(chan struct{})
	q.waiting++
	q.bytes += t.size
	t.holder.waits(1, t.size)
	in.insert(t)
}

// wait returns when the message has a worker. If ctx ends before that, wait calls done and returns
// the error of ctx.
func (t *ticket) wait(ctx context.Context) error {
	if t.turn != nil {
		select {
		case <-t.turn:
		case <-ctx.Done():
		}
	}
	err := ctx.Err() // ctx may have ended even if a worker is free
	if err != nil {
		t.done()
	}
	return err
}

// done removes the message from the queue, whether it still waits or has a worker.
func (t *ticket) done() {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	leads := t.lane != nil && t.in != &t.lane.next
	if t.in != nil {
		q.remove(t)
	} else {
		q.running--
		t.holder.runs(-1)
	}
	if leads {
		q.advance(t.lane)
	}
	q.handOut()
}

// advance makes the next message of a lane ready, or ends the lane. The lock is held.
func (q *queue) advance(l *lane) {
	if t := l.next.first; t != nil {
		l.next.remove(t)
		q.ready.insert(t)
	} else {
		delete(q.lanes, l.key)
	}
}

// handOut assigns the free workers to the messages that have waited longest. It passes over
// messages whose callers have used up their shares. The lock is held.
func (q *queue) handOut() {
	for t := q.ready.first; t != nil && q.free(); {
		next := t.next
		if t.holder.mayRun() {
			q.remove(t)
			q.run(t.holder)
			close(t.turn)
		}
		t = next
	}
}

// remove takes a ticket out of its line. The lock is held.
func (q *queue) remove(t *ticket) {
	t.in.remove(t)
	q.waiting--
	q.bytes -= t.size
	t.holder.waits(-1, -t.size)
}

// free reports whether a message may have a worker now. The lock is held.
func (q *queue) free() bool { return q.running < q.limits.Workers && !q.phase.Holds() }

// resume gives workers to the messages that wait, after the phase stopped holding them.
func (q *queue) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handOut()
}

// line is a doubly linked list of tickets in the order of their arrival.
type line struct{ first, last *ticket }

// insert adds a ticket at the place that its arrival determines: usually at the end, or near the
// beginning if the ticket has waited for its lane.
func (l *line) insert(t *ticket) {
	after := l.last
	if after != nil && after.arrived > t.arrived {
		after = nil
		for next := l.first; next.arrived < t.arrived; next = next.next {
			after = next
		}
	}
	t.in, t.prev = l, after
	if after == nil {
		t.next = l.first
		l.first = t
	} else {
		t.next = after.next
		after.next = t
	}
	if t.next == nil {
		l.last = t
	} else {
		t.next.prev = t
	}
}

func (l *line) remove(t *ticket) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.last = t.prev
	}
	t.in, t.prev, t.next = nil, nil, nil
}

// Load is how busy a server is.
type Load struct{ Running, Queued, Refused int64 }

func (q *queue) load() Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Load{Running: int64(q.running), Queued: int64(q.waiting), Refused: q.refused}
}

package dispatch

import (
	"context"
	"sync"
)

// Limits bound what a server takes at a time.
type Limits struct {
	// Workers is how many messages run at once.
	Workers int
	// Queue is how many further messages wait for a worker.
	Queue int
	// QueueBytes is how large the waiting messages may be together. One message is always admitted to an empty queue.
	QueueBytes int
}

// DefaultLimits are oslo.messaging's 64 workers, and, where upstream has no bound at all, a thousand waiting messages or
// 64 MiB of them.
var DefaultLimits = Limits{Workers: 64, Queue: 1000, QueueBytes: 64 << 20}

// queue admits messages, and hands out workers to them in the order of their arrival. A worker is not a goroutine but the right to run:
// a call runs on the goroutine that brought it, which saves two switches of goroutines a call.
type queue struct {
	limits Limits

	mu      sync.Mutex
	held    bool // nobody gets a worker
	running int
	first   *ticket // the waiting tickets, a doubly linked list in the order of arrival
	last    *ticket
	waiting int
	bytes   int
	refused int64
	// atOnce is the ticket of all messages that got a worker at once; nothing tells them apart. Made when it is first needed.
	atOnce *ticket
}

// ticket is a message that was admitted. It must be ended with done, or by an error of wait.
type ticket struct {
	queue      *queue
	size       int
	turn       chan struct{} // closed when a worker is free; nil if one was free at once
	running    bool          // has a worker; guarded by the queue's lock
	prev, next *ticket
}

// admit takes a message of size bytes in. It returns nil if the queue is full.
func (q *queue) admit(size int) *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.first == nil && q.free():
		if q.atOnce == nil {
			q.atOnce = &ticket{queue: q, running: true}
		}
		q.running++
		return q.atOnce
	case q.waiting >= q.limits.Queue || (q.waiting > 0 && q.bytes+size > q.limits.QueueBytes):
		q.refused++
		return nil
	default:
		t := &ticket{queue: q, size: size, turn: make(chan struct{})}
		q.push(t)
		return t
	}
}

// wait returns when it is the ticket's turn. If ctx ended before, the ticket is given back and the error is that of ctx.
func (t *ticket) wait(ctx context.Context) error {
	if t.turn != nil {
		select {
		case <-t.turn:
		case <-ctx.Done():
		}
	}
	err := ctx.Err() // both may have come
	if err != nil {
		t.done()
	}
	return err
}

// done gives the ticket back, whether it waits or has a worker already.
func (t *ticket) done() {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.running {
		q.release()
	} else {
		q.remove(t)
	}
}

// release takes back the worker of a message that ended. The lock is held.
func (q *queue) release() {
	q.running--
	q.handOut()
}

// handOut gives the free workers to the messages that wait longest. The lock is held.
func (q *queue) handOut() {
	for q.first != nil && q.free() {
		t := q.first
		q.remove(t)
		t.running = true
		q.running++
		close(t.turn)
	}
}

// free reports whether a message may have a worker now. The lock is held.
func (q *queue) free() bool { return !q.held && q.running < q.limits.Workers }

// hold keeps all messages waiting from now on, and letGo ends that.
func (q *queue) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = true
}

func (q *queue) letGo() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = false
	q.handOut()
}

func (q *queue) push(t *ticket) {
	t.prev = q.last
	if q.last != nil {
		q.last.next = t
	} else {
		q.first = t
	}
	q.last = t
	q.waiting++
	q.bytes += t.size
}

func (q *queue) remove(t *ticket) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		q.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		q.last = t.prev
	}
	t.prev, t.next = nil, nil
	q.waiting--
	q.bytes -= t.size
}

// Load is how busy a server is.
type Load struct{ Running, Queued, Refused int64 }

func (q *queue) load() Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Load{Running: int64(q.running), Queued: int64(q.waiting), Refused: q.refused}
}

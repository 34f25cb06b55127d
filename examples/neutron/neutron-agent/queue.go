package main

import (
	"container/heap"
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// update is a piece of work on a network, usually for a received message.
type update struct {
	networkID string
	payload   neutronrpc.DhcpPayload
	// handle does the work.
	handle   func(ctx context.Context, u update) error
	priority int
	arrived  int
}

// queue orders updates by priority number, lowest first, and then by arrival. Several workers take
// updates, but at any time only one of them works on a network: a slow network does not delay
// others, and two workers never change the same network.
type queue struct {
	mu      sync.Mutex
	waiting updates
	// busy has the networks with an update in progress, and the updates that arrived for them
	// meanwhile.
	busy    map[string]updates
	arrived int
	changed chan struct{} // closed when there may be something to take
}

func newQueue() *queue { return &queue{busy: map[string]updates{}, changed: make(chan struct{})} }

func (q *queue) add(u update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.arrived++
	u.arrived, u.priority = q.arrived, u.payload.Priority.Or(neutronrpc.PriorityPort)
	heap.Push(&q.waiting, u)
	q.wake()
}

// wake wakes all workers that wait for an update. The caller holds the lock.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// take waits for the next update of a network that is not busy, and makes the network busy. It
// returns false if ctx ends first. Call done when the update is handled.
func (q *queue) take(ctx context.Context) (update, bool) {
	for {
		u, ok, changed := q.next()
		if ok {
			return u, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return update{}, false
		}
	}
}

// next is like take, but does not wait: if there is no update, it returns a channel that is closed
// when there may be one.
func (q *queue) next() (u update, ok bool, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		u := heap.Pop(&q.waiting).(update)
		later, busy := q.busy[u.networkID]
		if !busy {
			q.busy[u.networkID] = nil
			return u, true, nil
		}
		q.busy[u.networkID] = append(later, u)
	}
	return update{}, false, q.changed
}

// done makes a network available for its next update.
func (q *queue) done(u update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, later := range q.busy[u.networkID] {
		heap.Push(&q.waiting, later)
	}
	delete(q.busy, u.networkID)
	q.wake()
}

// updates is a heap for package container/heap.
type updates []update

func (u *updates) Len() int { return len(*u) }

func (u *updates) Swap(i, j int) { (*u)[i], (*u)[j] = (*u)[j], (*u)[i] }

func (u *updates) Less(i, j int) bool {
	a, b := (*u)[i], (*u)[j]
	return a.priority < b.priority || a.priority == b.priority && a.arrived < b.arrived
}

// Push adds an update at the end.
func (u *updates) Push(x any) { *u = append(*u, x.(update)) }

// Pop removes the last update.
func (u *updates) Pop() any {
	last := (*u)[len(*u)-1]
	*u = (*u)[:len(*u)-1]
	return last
}

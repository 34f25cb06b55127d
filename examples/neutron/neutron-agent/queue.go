package main

import (
	"container/heap"
	"context"
	"sync"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// update is a message about a network that waits for its turn.
type update struct {
	networkID string
	payload   neutronrpc.DhcpPayload
	// handle does what the message asks for.
	handle   func(ctx context.Context, u update) error
	priority int
	arrived  int
}

// queue has updates wait for their turn: the lowest priority comes first, and of several the one that arrived first. Casts have no
// order on the wire, so this is where they get one.
type queue struct {
	mu      sync.Mutex
	waiting updates
	arrived int
	changed chan struct{}
}

func newQueue() *queue { return &queue{changed: make(chan struct{}, 1)} }

func (q *queue) add(u update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.arrived++
	u.arrived, u.priority = q.arrived, u.payload.Priority.Or(neutronrpc.PriorityPort)
	heap.Push(&q.waiting, u)
	q.wake()
}

// wake has whoever waits for an update look again.
func (q *queue) wake() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// next returns the next update; false if there is none.
func (q *queue) next() (update, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return update{}, false
	}
	return heap.Pop(&q.waiting).(update), true
}

// updates is a heap.
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

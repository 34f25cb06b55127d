package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/phase"
)

// newQueue returns a queue whose workers are all busy, and the tickets that occupy them.
func newQueue(t *testing.T, l Limits) (*queue, []*ticket) {
	t.Helper()
	q := openQueue(l)
	busy := make([]*ticket, 0, l.Workers)
	for range l.Workers {
		busy = append(busy, admitted(t, q, 1))
	}
	return q, busy
}

func admitted(t *testing.T, q *queue, size int) *ticket {
	t.Helper()
	ticket := q.admit(size, nil, "")
	if ticket == nil {
		t.Fatalf("a message of %d bytes was refused: %+v", size, q.load())
	}
	return ticket
}

func checkLoad(t *testing.T, q *queue, running, queued, refused int64) {
	t.Helper()
	if got, want := q.load(), (Load{Running: running, Queued: queued, Refused: refused}); got != want {
		t.Errorf("the load is %+v, want %+v", got, want)
	}
}

// isTurn reports whether a waiting ticket got a worker.
func isTurn(t *ticket) bool {
	select {
	case <-t.turn:
		return true
	default:
		return false
	}
}

func TestQueueHandsOutWorkersAtOnce(t *testing.T) {
	t.Parallel()
	q, busy := newQueue(t, Limits{Workers: 2})
	for _, ticket := range busy {
		if err := ticket.wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	checkLoad(t, q, 2, 0, 0)
	busy[0].done()
	busy[1].done()
	checkLoad(t, q, 0, 0, 0)
}

func TestQueueIsInTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	q, busy := newQueue(t, Limits{Workers: 1, Queue: 5, QueueBytes: 100})
	waiting := make([]*ticket, 5)
	for i := range waiting {
		waiting[i] = admitted(t, q, 1)
	}
	checkLoad(t, q, 1, 5, 0)
	running := busy[0]
	for i, next := range waiting {
		for _, later := range waiting[i:] {
			if isTurn(later) {
				t.Fatalf("%d may run too early", i)
			}
		}
		running.done()
		if !isTurn(next) || next.wait(t.Context()) != nil {
			t.Fatalf("it is not the turn of %d", i)
		}
		checkLoad(t, q, 1, int64(4-i), 0)
		running = next
	}
	running.done()
	checkLoad(t, q, 0, 0, 0)
}

func TestNoMessageOvertakesTheQueue(t *testing.T) {
	t.Parallel()
	q, busy := newQueue(t, Limits{Workers: 2, Queue: 2, QueueBytes: 100})
	first := admitted(t, q, 1)
	busy[0].done()
	second := admitted(t, q, 1)
	if !isTurn(first) || isTurn(second) {
		t.Error("the first did not get the worker")
	}
	busy[1].done()
	if !isTurn(second) {
		t.Error("the second did not get the worker")
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	type step struct {
		size int
		want bool
	}
	for _, test := range []struct {
		name   string
		limits Limits
		steps  []step
	}{
		{"by number", Limits{Workers: 1, Queue: 2, QueueBytes: 1000}, []step{{1, true}, {1, true}, {1, false}, {0, false}}},
		{"by bytes", Limits{Workers: 1, Queue: 10, QueueBytes: 10}, []step{{4, true}, {4, true}, {3, false}, {2, true}, {1, false}, {0, true}}},
		{"one oversized message is taken", Limits{Workers: 1, Queue: 10, QueueBytes: 10}, []step{{1000, true}, {1, false}, {0, false}}},
		{"but not behind another", Limits{Workers: 1, Queue: 10, QueueBytes: 10}, []step{{1, true}, {1000, false}, {9, true}}},
		{"no queue", Limits{Workers: 1, QueueBytes: 10}, []step{{0, false}}},
		{"no bytes", Limits{Workers: 1, Queue: 10}, []step{{1, true}, {1, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			q, busy := newQueue(t, test.limits)
			queued, refused := int64(0), int64(0)
			for i, s := range test.steps {
				ticket := q.admit(s.size, nil, "")
				if (ticket != nil) != s.want {
					t.Errorf("step %d, %d bytes: admitted is %v", i, s.size, ticket != nil)
				}
				if ticket != nil {
					queued++
				} else {
					refused++
				}
				checkLoad(t, q, 1, queued, refused)
			}
			busy[0].done()
		})
	}
}

func TestRunningMessagesDoNotCountAsWaiting(t *testing.T) {
	t.Parallel()
	q := openQueue(Limits{Workers: 1, Queue: 1, QueueBytes: 10})
	first := admitted(t, q, 1000)
	second := admitted(t, q, 10)
	first.done()
	if q.bytes != 0 {
		t.Errorf("%d bytes are waiting", q.bytes)
	}
	third := admitted(t, q, 10)
	second.done()
	third.done()
	checkLoad(t, q, 0, 0, 0)
}

func TestThoseWhoGiveUpLeaveTheQueue(t *testing.T) {
	t.Parallel()
	for leaver := range 3 { // the first, one between, and the last
		t.Run(fmt.Sprint(leaver), func(t *testing.T) {
			t.Parallel()
			q, busy := newQueue(t, Limits{Workers: 1, Queue: 3, QueueBytes: 30})
			waiting := make([]*ticket, 3)
			for i := range waiting {
				waiting[i] = admitted(t, q, 10)
			}
			if q.admit(1, nil, "") != nil {
				t.Fatal("the queue should be full")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := waiting[leaver].wait(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			checkLoad(t, q, 1, 2, 1)
			late := admitted(t, q, 10)

			running := busy[0]
			for _, next := range append(append(waiting[:leaver:leaver], waiting[leaver+1:]...), late) {
				running.done()
				if !isTurn(next) {
					t.Error("the order was lost")
				}
				running = next
			}
			running.done()
			checkLoad(t, q, 0, 0, 1)
		})
	}
}

func TestEndOfContextWakesAWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, busy := newQueue(t, Limits{Workers: 1, Queue: 1, QueueBytes: 10})
		waiter := admitted(t, q, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- waiter.wait(ctx) }()
		synctest.Wait()
		cancel(errors.New("any"))
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		checkLoad(t, q, 1, 0, 0)
		busy[0].done()
		checkLoad(t, q, 0, 0, 0)
	})
}

// If a caller gives up at the moment it gets a worker, the worker goes to the next ticket,
// whichever event is noticed first.
func TestTurnAndEndAtOnceLoseNoWorker(t *testing.T) {
	t.Parallel()
	for range 200 {
		q, busy := newQueue(t, Limits{Workers: 1, Queue: 2, QueueBytes: 10})
		waiter, next := admitted(t, q, 1), admitted(t, q, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		busy[0].done()
		if err := waiter.wait(ctx); err == nil {
			t.Fatal("one whose context has ended may run")
		}
		if !isTurn(next) {
			t.Fatal("the worker was lost")
		}
		next.done()
		checkLoad(t, q, 0, 0, 0)
	}
}

func TestWaitWithoutQueueMindsTheContext(t *testing.T) {
	t.Parallel()
	q := openQueue(Limits{Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := admitted(t, q, 1).wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	checkLoad(t, q, 0, 0, 0)
}

func TestQueueUnderStress(t *testing.T) {
	t.Parallel()
	const callers, rounds = 32, 300
	q := openQueue(Limits{Workers: 4, Queue: 10, QueueBytes: 50})
	var running, ran, refused, gaveUp atomic.Int64
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range rounds {
				ticket := q.admit(random.IntN(12), nil, [...]string{"", "", "a", "b"}[random.IntN(4)])
				if ticket == nil {
					refused.Add(1)
					continue
				}
				ctx, cancel := context.WithCancel(context.Background())
				if random.IntN(3) == 0 {
					go cancel()
				}
				if ticket.wait(ctx) != nil {
					gaveUp.Add(1)
				} else {
					if n := running.Add(1); n > 4 {
						t.Errorf("%d run at once", n)
					}
					ran.Add(1)
					running.Add(-1)
					ticket.done()
				}
				cancel()
			}
		})
	}
	all.Wait()
	checkLoad(t, q, 0, 0, refused.Load())
	if q.bytes != 0 || q.ready != (line{}) || len(q.lanes) != 0 {
		t.Errorf("something was left: %+v", q)
	}
	if got := ran.Load() + refused.Load() + gaveUp.Load(); got != callers*rounds {
		t.Errorf("%d messages are accounted for, want %d", got, callers*rounds)
	}
	t.Logf("ran %d, gave up %d, refused %d", ran.Load(), gaveUp.Load(), refused.Load())
}

// openQueue returns the queue of an active server.
func openQueue(limits Limits) *queue { return &queue{limits: limits, phase: phase.Opened()} }

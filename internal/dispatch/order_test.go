package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// ordered returns a request with an order key.
func ordered(id, key string) *Request {
	r := request("foo", id)
	r.OrderKey = key
	return r
}

// history records the messages that ran, with the order of their starts and ends.
type history struct {
	mu     sync.Mutex
	events []string
}

func (h *history) add(event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

// of returns the events of a key.
func (h *history) of(key string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.events), func(e string) bool { return !strings.HasPrefix(e, key) })
}

// method takes up to a millisecond and sometimes fails. A failure does not affect later messages.
func (h *history) method() *Method {
	return plain(func(ctx context.Context, _ Emit) error {
		info := MessageFrom(ctx)
		h.add(info.ID + " begins")
		time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
		h.add(info.ID + " ends")
		if rand.IntN(3) == 0 {
			panic("ouch")
		}
		return nil
	})
}

// Messages with one key run one after the other in the order of acceptance, whether or not the
// server was held, and whatever else runs.
func TestMessagesWithAKeyRunInOrder(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{true, false} {
		t.Run(fmt.Sprint("held ", held), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const n = 300
				var h history
				s := newServer(t, Limits{Workers: 64, Queue: 10_000, QueueBytes: 1 << 20}, map[string]*Method{"foo": h.method()})
				if held {
					s.config.Phase.Stall()
				}
				want := map[string][]string{}
				for i := range n {
					key := string("abc"[i%3])
					id := fmt.Sprint(key, i)
					if err := s.Cast(context.Background(), ordered(id, key)); err != nil {
						t.Fatal(err)
					}
					if err := s.Cast(context.Background(), ordered(fmt.Sprint("free", i), "")); err != nil {
						t.Fatal(err)
					}
					want[key] = append(want[key], id+" begins", id+" ends")
				}
				s.Release()
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				for key, events := range want {
					same(t, "key "+key, h.of(key), events)
				}
				if got := len(h.of("free")); got != 2*n {
					t.Errorf("%d events of messages without a key, want %d", got, 2*n)
				}
			})
		})
	}
}

// A message whose caller gives up while it waits for its key or a worker does not block the
// messages after it.
func TestMessageWithAKeyThatIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, Limits{Workers: 2, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": g.method()})
		first := started(t.Context(), s, ordered("1", "a"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := started(ctx, s, ordered("2", "a"))
		synctest.Wait()
		third := started(t.Context(), s, ordered("3", "a"))
		beside := started(t.Context(), s, ordered("4", "b"))
		synctest.Wait()
		if load := s.Load(); load.Running != 2 || load.Queued != 2 {
			t.Errorf("the load is %+v", load)
		}
		check(t, <-second, rpc.Timeout, true, "not started")
		for range 3 {
			g.open <- struct{}{}
		}
		for _, ended := range []<-chan error{first, third, beside} {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// Of the messages that may run, the first to arrive gets the next worker, even if its key delayed
// it.
func TestKeysKeepTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	q, busy := newQueue(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000})
	one, two := q.admit(1, nil, "a"), q.admit(1, nil, "a")
	plain, three := q.admit(1, nil, ""), q.admit(1, nil, "a")
	four := q.admit(1, nil, "b")
	all := []*ticket{one, two, plain, three, four}
	busy[0].done()
	for i, ticket := range all {
		for j, other := range all {
			if isTurn(other) != (j <= i) {
				t.Errorf("after %d ended, it is the turn of %d: %v", i, j, isTurn(other))
			}
		}
		ticket.done()
	}
	checkLoad(t, q, 0, 0, 0)
	if len(q.lanes) != 0 || q.ready != (line{}) {
		t.Errorf("something was left: %+v", q)
	}
}

// Messages that wait for their key count as queued: a queue that is full of them refuses others.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	q := openQueue(Limits{Workers: 4, Queue: 2, QueueBytes: 100})
	first := q.admit(1, nil, "a")
	waiting := []*ticket{q.admit(1, nil, "a"), q.admit(1, nil, "a")}
	if q.admit(1, nil, "a") != nil {
		t.Error("a full queue took one more")
	}
	if beside := q.admit(1, nil, "b"); beside == nil {
		t.Error("a message that need not wait was refused")
	} else {
		beside.done()
	}
	checkLoad(t, q, 1, 2, 1)
	for _, ticket := range append([]*ticket{first}, waiting...) {
		ticket.done()
	}
	checkLoad(t, q, 0, 0, 1)
}

package dispatch

import (
	"log/slog"
	"testing"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func accounts() *limits.Budget {
	return limits.New(rpc.Limits{CallerWorkers: 50}.WithDefaults(), slog.New(slog.DiscardHandler))
}

func runsNow(t *ticket) bool {
	select {
	case <-t.turn:
		return true
	default:
		return t.turn == nil
	}
}

// A caller gets half of the workers and of the queue, whatever it sends. Others can use the rest at
// once.
func TestCallersHaveTheirShares(t *testing.T) {
	b := accounts()
	greedy, other, third := b.Join("greedy", ""), b.Join("other", ""), b.Join("third", "")
	q := openQueue(Limits{Workers: 8, Queue: 100, QueueBytes: 1000})
	var running, waiting []*ticket
	for range 80 {
		ticket := q.admit(1, greedy, "")
		switch {
		case ticket == nil:
		case runsNow(ticket):
			running = append(running, ticket)
		default:
			waiting = append(waiting, ticket)
		}
	}
	if len(running) != 4 || len(waiting) != 50 {
		t.Fatalf("a greedy caller has %d workers, and %d messages wait", len(running), len(waiting))
	}
	for n := range 4 {
		if ticket := q.admit(1, other, ""); ticket == nil || !runsNow(ticket) {
			t.Fatalf("message %d of another caller waits behind the greedy one", n)
		}
	}
	last := q.admit(1, third, "")
	if last == nil || runsNow(last) {
		t.Fatal("there is no worker for a third caller, and it does not wait")
	}
	running[0].done()
	if runsNow(last) || !runsNow(waiting[0]) {
		t.Error("the worker did not go to the message that waits longest")
	}
	waiting[0].done()
	waiting[1].done()
	waiting[2].done()
	waiting[3].done()
	for _, ticket := range append(running[1:], waiting[4:]...) {
		ticket.done()
	}
	if !runsNow(last) {
		t.Error("the third caller waits although workers are free")
	}
}

// If a caller waits for its share, other messages overtake its messages, even behind an order key.
func TestWaitingCallerLetsOthersPass(t *testing.T) {
	b := accounts()
	greedy, other := b.Join("greedy", ""), b.Join("other", "")
	q := openQueue(Limits{Workers: 8, Queue: 20, QueueBytes: 1000})
	for range 8 {
		q.admit(1, greedy, "")
	}
	first := q.admit(1, other, "key")
	second := q.admit(1, other, "key")
	if !runsNow(first) || runsNow(second) {
		t.Fatal("messages with an order key do not run one after the other")
	}
	if first.done(); !runsNow(second) {
		t.Error("the second message waits behind another caller")
	}
}

// With few workers, there is no share for each caller.
func TestFewWorkersAreShared(t *testing.T) {
	b := accounts()
	only := b.Join("only", "")
	q := openQueue(Limits{Workers: 4, Queue: 4, QueueBytes: 1000})
	for n := range 4 {
		if ticket := q.admit(1, only, ""); ticket == nil || !runsNow(ticket) {
			t.Errorf("message %d waits", n)
		}
	}
}

// A queue forgets callers that have no messages.
func TestHoldersAreBounded(t *testing.T) {
	b := accounts()
	q := openQueue(Limits{Workers: 8, Queue: 20, QueueBytes: 1000})
	for range 1000 {
		c := b.Join("", "192.0.2.1")
		q.admit(1, c, "").done()
		c.Leave()
	}
	if n := len(q.holders); n > maxIdleHolders+2 {
		t.Errorf("there are %d holders", n)
	}
}

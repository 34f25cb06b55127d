package delivery

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestEnd checks that an error that ends a message does so whatever its kind, at one server and at
// all.
func TestEnd(t *testing.T) {
	bubble(t, map[string]error{
		"of a kind that sends it elsewhere": full,
		"that the instance is gone":         stopping,
		"that the address misleads":         misdirected,
		"that the version is too old":       tooOld,
		"that the process is not reached":   notSent,
	}, func(t *testing.T, err error) {
		w := newWorld(t, instance("a"), instance("b"))
		var attempts atomic.Int32
		ends := func(context.Context, Attempt) error {
			attempts.Add(1)
			return End(err)
		}
		got := One(within(t, time.Minute), w.topic, message(), ends)
		expectError(t, got, rpc.KindOf(err))
		if n := attempts.Load(); n != 1 {
			t.Errorf("there were %d attempts", n)
		}
		results, _ := w.everybody(within(t, time.Minute), message(), ends)
		if n := attempts.Load(); len(results) != 2 || n != 3 {
			t.Fatalf("after %d attempts there are the results %v", n, results)
		}
		for _, r := range results {
			expectError(t, r.Err, rpc.KindOf(err))
			if h := w.topic.Missed().Hint(r.Entry); r.Skipped || h.Ago != 0 {
				t.Error("the instance is told that it missed a message that its sender stopped")
			}
		}
	})
}

// TestAttemptsAreCounted checks that attempts are counted from 1, for each message and for each
// copy.
func TestAttemptsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		var numbers []int
		count := func(_ context.Context, a Attempt) error {
			if numbers = append(numbers, a.Number); len(numbers) < 3 {
				return full
			}
			return nil
		}
		for range 2 {
			numbers = nil
			if err := One(within(t, time.Minute), w.topic, message(), count); err != nil || !slices.Equal(numbers, []int{1, 2, 3}) {
				t.Errorf("attempts %v, then %v", numbers, err)
			}
		}
		numbers = nil
		if _, err := w.everybody(within(t, time.Minute), message(), count); err != nil || !slices.Equal(numbers, []int{1, 2, 3}) {
			t.Errorf("attempts %v, then %v", numbers, err)
		}
	})
}

// TestMissedIsTold checks that an instance is told about missed messages once it has answered. A
// message that counts as sent before that reports nothing.
func TestMissedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		var told []time.Duration
		hear := func(_ context.Context, a Attempt) error {
			told = append(told, a.Missed)
			return nil
		}
		w.topic.Missed().Instance(&route.Entry{Instance: rpc.Instance{ID: "a", Exchange: compute.Exchange, Topic: compute.Name}})
		time.Sleep(time.Second)
		for _, m := range []*Message{message(func(m *Message) { m.Unanswered = true }), message(), message()} {
			if err := One(within(t, time.Minute), w.topic, m, hear); err != nil {
				t.Fatal(err)
			}
		}
		if want := [3]time.Duration{0, time.Second, 0}; [3]time.Duration(told) != want {
			t.Errorf("it was told of %v, want %v", told, want)
		}
	})
}

package delivery

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// connected returns a world whose instances are connected.
func connected(t *testing.T, ids ...string) *world {
	t.Helper()
	var list []rpc.Instance
	for _, id := range ids {
		list = append(list, instance(id))
	}
	w := newWorld(t, list...)
	if _, err := AudienceOf(t.Context(), w.topic, message()); err != nil { // there is a view from now on
		t.Fatal(err)
	}
	if err := w.topic.Now().Entries()[0].Link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// A fanout whose attempts begin early sends to all before it waits, and one hung server does not
// delay the others.
func TestFanoutBeginsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connected(t, "a", "briefly-full", "hung", "old", "z")
		s := (&script{}).says("briefly-full", full, full, nil).says("old", noMethod)
		var begun, waited atomic.Int64
		hang := func(ctx context.Context, a Attempt) error {
			if a.Entry.ID == "hung" {
				<-ctx.Done()
				return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "no answer"}
			}
			return s.send(ctx, a)
		}
		start := func(ctx context.Context, a Attempt) Started {
			begun.Add(1)
			wait := starting(hang)(ctx, a)
			return func(late <-chan struct{}) (error, bool) {
				waited.Store(begun.Load())
				return wait(late)
			}
		}
		begin := time.Now()
		audience, err := AudienceOf(within(t, time.Minute), w.topic, message())
		if err != nil {
			t.Fatal(err)
		}
		results := All(within(t, time.Minute), audience, s.send, start)
		var got []string
		for _, r := range results {
			got = append(got, r.Entry.ID+" "+outcome(r))
		}
		slices.Sort(got)
		if want := []string{"a accepted", "briefly-full accepted", "hung failed", "old skipped", "z accepted"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if waited.Load() != 5 {
			t.Errorf("it waits when %d of 5 attempts have begun", waited.Load())
		}
		about(t, time.Since(begin), time.Minute, time.Minute)
		if l := audience.Reached[0].Link; l.Outstanding() != 0 {
			t.Errorf("%d places are still taken", l.Outstanding())
		}
	})
}

// A message that cannot begin early is sent like any other.
func TestFanoutThatCannotBeginEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connected(t, "a", "b")
		s := &script{}
		audience, err := AudienceOf(within(t, time.Minute), w.topic, message())
		if err != nil {
			t.Fatal(err)
		}
		none := func(context.Context, Attempt) Started { return nil }
		for _, r := range All(within(t, time.Minute), audience, s.send, none) {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		slices.Sort(s.sent)
		s.expect(t, "a", "b")
	})
}

package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestRepeatedCallIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": g.method(), "other": returns("1")})
	first := started(t.Context(), s, request("foo", "a"))
	<-g.entered
	_, err := call(t.Context(), s, request("foo", "a")) // while it runs
	check(t, err, rpc.OutcomeUnknown, false, "received before")
	close(g.open)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for _, method := range []string{"foo", "other"} { // after it ran; the id counts, whatever the rest says
		_, err = call(t.Context(), s, request(method, "a"))
		check(t, err, rpc.OutcomeUnknown, false)
	}
	if n, _ := counts(s, "foo"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

func TestFailedCallIsNotRunAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails(errors.New("any"))})
	_, err := call(t.Context(), s, request("foo", "a"))
	check(t, err, rpc.Remote, false)
	_, err = call(t.Context(), s, request("foo", "a"))
	check(t, err, rpc.OutcomeUnknown, false)
}

func TestRepeatedCastIsAcceptedAndRunsOnce(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, Limits{Workers: 1, Queue: 1, QueueBytes: 100}, map[string]*Method{"foo": g.method()})
	for _, id := range []string{"a", "b", "a", "b"} { // with b the queue is full, which does not matter to a repeat
		if err := s.Cast(context.Background(), request("foo", id)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	check(t, s.Cast(context.Background(), request("foo", "c")), rpc.Refused, true)
	close(g.open)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n, _ := counts(s, "foo"); n != 2 {
		t.Errorf("%d ran, want 2", n)
	}
}

func TestMessagesWithoutIDAreNeverRepeats(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
	for range 3 {
		if _, err := call(t.Context(), s, request("foo", "")); err != nil {
			t.Error(err)
		}
	}
	if n, _ := counts(s, "foo"); n != 3 {
		t.Errorf("%d ran, want 3", n)
	}
}

func TestRefusedMessageMayComeAgain(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, Limits{Workers: 1}, map[string]*Method{"foo": g.method()})
	busy := started(t.Context(), s, request("foo", "busy"))
	<-g.entered
	for range 2 {
		_, err := call(t.Context(), s, request("foo", "call"))
		check(t, err, rpc.Refused, true, "full")
		check(t, s.Cast(context.Background(), request("foo", "cast")), rpc.Refused, true, "full")
	}
	close(g.open)
	if err := <-busy; err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), s, request("foo", "call")); err != nil {
		t.Errorf("call: %v", err)
	}
	if err := s.Cast(context.Background(), request("foo", "cast")); err != nil {
		t.Errorf("cast: %v", err)
	}
}

// A server that is full or stopping must not say about a repeated message that it did not run.
func TestRepeatIsKnownWhateverElseWouldRefuseIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, Limits{Workers: 1}, map[string]*Method{"foo": g.method()})
		first := started(t.Context(), s, request("foo", "a"))
		<-g.entered
		stopped := make(chan error, 1)
		for _, why := range []refusal.Reason{refusal.Full, refusal.Stopping} {
			if err := s.Cast(context.Background(), request("foo", "new")); !errors.Is(err, why) {
				t.Errorf("a new message: got %v, want %v", err, why)
			}
			_, err := call(t.Context(), s, request("foo", "a"))
			check(t, err, rpc.OutcomeUnknown, false)
			if err := s.Cast(context.Background(), request("foo", "a")); err != nil {
				t.Errorf("a cast that was accepted is refused: %v", err)
			}
			if why == refusal.Full {
				go func() { stopped <- s.Stop(context.Background()) }()
				synctest.Wait()
			}
		}
		close(g.open)
		if err := errors.Join(<-first, <-stopped); err != nil {
			t.Error(err)
		}
	})
}

func TestRepeatIsForgottenInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
		for range 2 {
			if _, err := call(t.Context(), s, request("foo", "a")); err != nil {
				t.Error(err)
			}
			time.Sleep(windowTime + 1)
		}
	})
}

// However many copies of a message arrive, and however full the server is, a message that was
// reported as accepted runs exactly once.
func TestCopiesUnderStress(t *testing.T) {
	t.Parallel()
	const messages, copies = 300, 4
	var ran [messages]atomic.Int64
	s := newServer(t, Limits{Workers: 1, Queue: 1, QueueBytes: 1000}, map[string]*Method{
		"foo": plain(func(ctx context.Context, emit Emit) error {
			info := MessageFrom(ctx)
			var i int
			if _, err := fmt.Sscan(info.ID, &i); err != nil {
				t.Error(err)
			}
			ran[i].Add(1)
			return emit("null")
		}),
	})
	var accepted [messages]atomic.Bool
	var all sync.WaitGroup
	for range copies {
		all.Go(func() {
			for i := range messages {
				if s.Cast(context.Background(), request("foo", fmt.Sprint(i))) == nil {
					accepted[i].Store(true)
				}
			}
		})
	}
	all.Wait()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range messages {
		want := int64(0)
		if accepted[i].Load() {
			want = 1
		}
		if got := ran[i].Load(); got != want {
			t.Errorf("message %d ran %d times, want %d", i, got, want)
		}
	}
}

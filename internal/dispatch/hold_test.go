package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// note returns a method that records the IDs of its messages.
func note(ids chan<- string) *Method {
	return plain(func(ctx context.Context, emit Emit) error {
		info := MessageFrom(ctx)
		ids <- info.ID
		return emit("null")
	})
}

func drained(ids chan string) []string {
	list := []string{}
	for len(ids) > 0 {
		list = append(list, <-ids)
	}
	return list
}

func TestHeldServerRunsNothingUntilReleased(t *testing.T) {
	t.Parallel()
	for name, letGo := range map[string]func(*Dispatcher){
		"release":       (*Dispatcher).Release,
		"stop":          func(s *Dispatcher) { _ = s.Stop(context.Background()) },
		"release twice": func(s *Dispatcher) { s.Release(); s.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ids := make(chan string, 100)
				s := newServer(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": note(ids)})
				s.config.Phase.Stall()
				var want []string
				for i := range 10 {
					want = append(want, fmt.Sprint(i))
					if err := s.Cast(context.Background(), request("foo", want[i])); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Cast(context.Background(), request("foo", "more")); !errors.Is(err, refusal.Full) {
					t.Errorf("beyond the queue: %v", err)
				}
				synctest.Wait()
				if len(ids) != 0 || s.Load() != (Load{Queued: 10, Refused: 1}) {
					t.Errorf("%d ran; the load is %+v", len(ids), s.Load())
				}
				letGo(s)
				synctest.Wait()
				same(t, "in the order of arrival", drained(ids), want)
			})
		})
	}
}

func TestReleaseStartsAllWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, Limits{Workers: 3, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": g.method()})
		s.config.Phase.Stall()
		for i := range 5 {
			if err := s.Cast(context.Background(), request("foo", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		s.Release()
		synctest.Wait()
		if load := s.Load(); load.Running != 3 || load.Queued != 2 || len(g.entered) != 3 {
			t.Errorf("the load is %+v, and %d entered", load, len(g.entered))
		}
		close(g.open)
	})
}

func TestCallIsNotStartedAfterItsDeadlineInTheHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ids := make(chan string, 10)
		s := newServer(t, DefaultLimits, map[string]*Method{"foo": note(ids)})
		s.config.Phase.Stall()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := call(ctx, s, request("foo", "1"))
		check(t, err, rpc.Timeout, true, "not started")
		s.Release()
		synctest.Wait()
		if len(ids) != 0 {
			t.Error("it ran")
		}
	})
}

func TestForcedStopOfAHeldServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": g.method()})
		s.config.Phase.Stall()
		for _, id := range []string{"1", "2"} {
			if err := s.Cast(context.Background(), request("foo", id)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("enough"))
		defer cancel()
		if err := s.Stop(ctx); rpc.KindOf(err) != rpc.Timeout || !errors.Is(err, context.Cause(ctx)) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
	})
}

func TestRuns(t *testing.T) {
	t.Parallel()
	seen := make(chan context.Context, 1)
	methods := map[string]*Method{"foo": plain(func(ctx context.Context, emit Emit) error {
		seen <- ctx
		return emit("null")
	})}
	s, other := newServer(t, DefaultLimits, methods), newServer(t, DefaultLimits, methods)
	if _, err := call(t.Context(), s, request("foo", "")); err != nil {
		t.Fatal(err)
	}
	ctx := <-seen
	derived, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	got := []bool{s.Runs(ctx), s.Runs(derived), s.Runs(t.Context()), other.Runs(ctx)}
	if !slices.Equal(got, []bool{true, true, false, false}) {
		t.Errorf("its own, derived, another context, another server: %v", got)
	}
}

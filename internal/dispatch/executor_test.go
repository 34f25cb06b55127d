package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestExecutorRunsMethods(t *testing.T) {
	t.Parallel()
	for name, execute := range map[string]Executor{
		"in place":    func(_ context.Context, run func()) { run() },
		"elsewhere":   func(_ context.Context, run func()) { go run() },
		"twice":       func(_ context.Context, run func()) { run(); run() },
		"a while off": func(_ context.Context, run func()) { time.AfterFunc(time.Hour, run) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, Limits{Workers: 2, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": echo()})
				s.RunOn(execute)
				var all sync.WaitGroup
				for i := range 5 {
					all.Go(func() {
						items, err := call(t.Context(), s, request("foo", fmt.Sprint(i)))
						if len(items) != 1 || err != nil {
							t.Errorf("got %v, %v", items, err)
						}
					})
				}
				if err := s.Cast(request("foo", "cast")); err != nil {
					t.Error(err)
				}
				all.Wait()
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				if n, failed := counts(s, "foo"); n != 6 || failed != 0 {
					t.Errorf("%d ran and %d failed, want 6 and 0", n, failed)
				}
			})
		})
	}
}

func TestExecutorGetsNoMoreThanTheWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		given := make(chan func(), 100)
		s := newServer(t, Limits{Workers: 2, Queue: 3, QueueBytes: 1000}, map[string]*Method{"foo": returns("1")})
		s.RunOn(func(_ context.Context, run func()) { given <- run })
		refused := 0
		for i := range 7 {
			if s.Cast(request("foo", fmt.Sprint(i))) != nil {
				refused++
			}
		}
		synctest.Wait()
		if len(given) != 2 || refused != 2 {
			t.Errorf("%d were given and %d refused, want 2 and 2", len(given), refused)
		}
		for range 5 {
			(<-given)()
		}
	})
}

// An executor that loses a function costs its caller the deadline, and a stop its patience.
func TestExecutorThatRunsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lost []func()
		s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
		s.RunOn(func(_ context.Context, run func()) { lost = append(lost, run) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := call(ctx, s, request("foo", "1"))
		check(t, err, rpc.Timeout, true, "not started")
		if err := s.Cast(request("foo", "2")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		check(t, s.Stop(ctx), rpc.Timeout, false, "1 messages were running")
		synctest.Wait()
		for _, late := range lost {
			late()
		}
		if n, _ := counts(s, "foo"); n != 0 {
			t.Errorf("%d ran after they were given up", n)
		}
	})
}

func TestMethodThatEndsTheExecutorsGoroutine(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": plain(func(context.Context, Emit) error {
		runtime.Goexit()
		return nil
	})})
	s.RunOn(func(_ context.Context, run func()) { go run() })
	_, err := call(t.Context(), s, request("foo", "1"))
	check(t, err, rpc.OutcomeUnknown, false, "ended the goroutine")
}

package dispatch

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/lograte"
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
				s.config.Execute = execute
				var all sync.WaitGroup
				for i := range 5 {
					all.Go(func() {
						items, err := call(t.Context(), s, request("foo", fmt.Sprint(i)))
						if len(items) != 1 || err != nil {
							t.Errorf("got %v, %v", items, err)
						}
					})
				}
				if err := s.Cast(context.Background(), request("foo", "cast")); err != nil {
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
		s.config.Execute = func(_ context.Context, run func()) { given <- run }
		refused := 0
		for i := range 7 {
			if s.Cast(context.Background(), request("foo", fmt.Sprint(i))) != nil {
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

// If an executor loses a function, the caller waits until its deadline and a stop waits until it is
// forced.
func TestExecutorThatRunsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lost []func()
		s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
		s.config.Execute = func(_ context.Context, run func()) { lost = append(lost, run) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := call(ctx, s, request("foo", "1"))
		check(t, err, rpc.Timeout, true, "not started")
		if err := s.Cast(context.Background(), request("foo", "2")); err != nil {
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

// An executor may exit the goroutine that hands it a message, before or after it accepted the
// message.
func TestExecutorThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	for name, execute := range map[string]Executor{
		"before": func(context.Context, func()) { runtime.Goexit() },
		"after it handed over": func(_ context.Context, run func()) {
			go run()
			runtime.Goexit()
		},
		"after it ran": func(_ context.Context, run func()) {
			run()
			runtime.Goexit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": returns("1")})
			s.config.Execute = execute
			var succeeded int64
			for range 5 {
				if _, err := call(t.Context(), s, request("foo", "")); err == nil {
					succeeded++
				} else {
					check(t, err, rpc.Remote, false, "runtime.Goexit")
				}
			}
			ran, _ := counts(s, "foo")
			if ran != succeeded || (ran == 0) != (name == "before") && name != "after it handed over" {
				t.Errorf("%d ran, and %d succeeded", ran, succeeded)
			}
			if err := s.Cast(context.Background(), request("foo", "cast")); err != nil {
				t.Error(err)
			}
		})
	}
}

// A panic of an executor must not crash the process, since each message would crash it.
func TestExecutorThatPanics(t *testing.T) {
	t.Parallel()
	for name, execute := range map[string]Executor{
		"before": func(context.Context, func()) { panic("no pool") },
		"after it ran": func(_ context.Context, run func()) {
			run()
			panic("no pool")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := newLoggedServer(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": returns("1")}, newLog(&log))
			s.config.Execute = execute
			for range 3 {
				_, err := call(t.Context(), s, request("foo", ""))
				switch {
				case name == "before":
					check(t, err, rpc.Remote, false, "no pool")
				case err != nil:
					t.Error(err)
				}
			}
			if err := s.Cast(context.Background(), request("foo", "cast")); err != nil {
				t.Error(err)
			}
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "no pool"); n < 4 {
				t.Errorf("logged %d times:\n%s", n, log.String())
			}
		})
	}
}

// A method that exits its goroutine appears in the log and in the error, both with the location,
// and in the counters.
func TestMethodThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	for name, execute := range map[string]Executor{
		"no executor": nil,
		"in place":    func(_ context.Context, run func()) { run() },
		"elsewhere":   func(_ context.Context, run func()) { go run() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := newLoggedServer(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000}, map[string]*Method{
				"foo": plain(func(context.Context, Emit) error {
					runtime.Goexit()
					return nil
				}),
				"bind": {Bind: func(string) (Invocation, error) {
					runtime.Goexit()
					return nil, nil
				}},
			}, newLog(&log))
			if execute != nil {
				s.config.Execute = execute
			}
			for range 20 {
				_, err := call(t.Context(), s, request("foo", ""))
				failure := remote(t, err)
				if failure.Type != exitedType || !strings.Contains(strings.Join(failure.Stack, "\n"), "executor_test.go") {
					t.Fatalf("got %+v", failure)
				}
			}
			_, err := call(t.Context(), s, request("bind", ""))
			remote(t, err)
			if err := s.Cast(context.Background(), request("foo", "cast")); err != nil {
				t.Error(err)
			}
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if ran, failed := counts(s, "foo"); ran != 21 || failed != 21 {
				t.Errorf("%d started and %d failed, want 21", ran, failed)
			}
			if n := strings.Count(log.String(), "method ended its goroutine"); n != lograte.Burst+1 { // the second method has lines of its own
				t.Errorf("%d lines were logged:\n%s", n, log.String())
			}
		})
	}
}

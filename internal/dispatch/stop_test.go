package dispatch

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestStopFinishesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, Limits{Workers: 1, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": g.method()})
		running := started(t.Context(), s, request("foo", "1"))
		<-g.entered
		waiting := started(t.Context(), s, request("foo", "2"))
		synctest.Wait()
		for _, id := range []string{"3", "4"} {
			if err := s.Cast(context.Background(), request("foo", id)); err != nil {
				t.Fatal(err)
			}
		}
		stopped := make(chan error, 2)
		for range 2 { // a second stop waits with the first
			go func() { stopped <- s.Stop(context.Background()) }()
		}
		synctest.Wait()
		if len(stopped) != 0 {
			t.Error("the stop did not wait")
		}
		_, err := call(t.Context(), s, request("foo", "5"))
		if check(t, err, rpc.Refused, true, "stopping"); !errors.Is(err, refusal.Stopping) {
			t.Errorf("the reason is missing: %v", err)
		}
		check(t, s.Cast(context.Background(), request("foo", "6")), rpc.Refused, true, "stopping")

		close(g.open)
		if err := errors.Join(<-running, <-waiting, <-stopped, <-stopped); err != nil {
			t.Error(err)
		}
		if n, failed := counts(s, "foo"); n != 4 || failed != 0 {
			t.Errorf("%d ran and %d failed, want 4 and 0", n, failed)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("a stop after the end: %v", err)
		}
	})
}

func TestStopOfAnIdleServerIsNotForced(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
		if _, err := call(t.Context(), s, request("foo", "")); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForcedStopEndsCasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newGate()
		s := newLoggedServer(t, Limits{Workers: 2, Queue: 10, QueueBytes: 1000}, map[string]*Method{"foo": g.method()}, newLog(&log))
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			if err := s.Cast(context.Background(), request("foo", id)); err != nil {
				t.Fatal(err)
			}
		}
		<-g.entered
		<-g.entered
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		before := time.Now()
		err := s.Stop(ctx)
		e := check(t, err, rpc.Timeout, false, `server "net1" was stopped by force: 2 messages were running and 3 waiting`)
		if !errors.Is(e, context.DeadlineExceeded) || time.Since(before) != time.Minute {
			t.Errorf("got %v after %v", e, time.Since(before))
		}
		synctest.Wait() // the gate stays shut: the contexts have ended
		if n, failed := counts(s, "foo"); n != 2 || failed != 2 {
			t.Errorf("%d were started and %d failed, want 2 and 2: those that waited are dropped", n, failed)
		}
		for text, want := range map[string]int{"cast dropped by a forced stop": 3, "method failed": 2, "context canceled": 2} {
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, log.String())
			}
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("a second stop: %v", err)
		}
	})
}

func TestForcedStopEndsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, DefaultLimits, map[string]*Method{"foo": g.method()})
		running := started(t.Context(), s, request("foo", "1"))
		<-g.entered
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		check(t, s.Stop(ctx), rpc.Timeout, false, "1 messages were running")
		synctest.Wait()
		if r := remote(t, <-running); r.Message != context.Canceled.Error() {
			t.Errorf("got %v", r)
		}
	})
}

// A cast does not run with its sender's context, and has no deadline.
func TestCastOutlivesItsSender(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": plain(func(ctx context.Context, emit Emit) error {
		_, bounded := ctx.Deadline()
		if bounded {
			t.Error("there is a deadline")
		}
		ended <- ctx.Err()
		return emit("null")
	})})
	if err := s.Cast(context.Background(), request("foo", "")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("its context has ended: %v", err)
	}
}

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// fanout delivers to all within a deadline. It returns the results in words, such as "a accepted",
// and how long the fanout took.
func (w *world) fanout(t *testing.T, d time.Duration, send Send) ([]string, []Result, time.Duration) {
	t.Helper()
	begin := time.Now()
	results, err := w.everybody(within(t, d), message(), send)
	if err != nil {
		t.Fatal(err)
	}
	words := make([]string, len(results))
	for i, r := range results {
		words[i] = r.Entry.ID + " " + outcome(r)
	}
	slices.Sort(words)
	return words, results, time.Since(begin)
}

func outcome(r Result) string {
	switch {
	case r.Err == nil:
		return "accepted"
	case r.Skipped:
		return "skipped"
	default:
		return "failed"
	}
}

func TestFanoutReportsEachInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := func(s rpc.State) func(*rpc.Instance) {
			return func(i *rpc.Instance) { i.State = s }
		}
		w := newWorld(t,
			instance("a"), instance("held", state(rpc.StateHeld)), instance("draining", state(rpc.StateDraining)),
			instance("draining-old", old, state(rpc.StateDraining)), instance("old", old), instance("too-old"),
			instance("no-method"), instance("lost"), instance("denies"), instance("not-sent"))
		s := (&script{}).says("too-old", tooOld).says("no-method", noMethod).says("lost", lost).
			says("denies", notStarted(rpc.AccessDenied)).says("not-sent", notSent)
		got, results, took := w.fanout(t, time.Minute, s.send)
		want := []string{
			"a accepted", "denies failed", "draining skipped", "draining-old skipped", "held accepted", "lost failed", "no-method skipped", "not-sent failed",
			"old skipped", "too-old skipped",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		about(t, took, 0, 0)
		for _, r := range results {
			switch r.Entry.ID {
			case "old":
				expectError(t, r.Err, rpc.UnsupportedVersion, `server "host-old" does not serve version 1.2`, "1.1")
			case "lost":
				if rpc.KindOf(r.Err) != rpc.OutcomeUnknown || rpc.SafeToRetry(r.Err) {
					t.Errorf("lost: %v", r.Err)
				}
			}
		}
		slices.Sort(s.sent)
		s.expect(t, "a", "denies", "held", "lost", "no-method", "not-sent", "too-old")
	})
}

func TestFanoutIgnoresTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		results, err := w.everybody(t.Context(), message(to("host-a")), (&script{}).send)
		if err != nil || len(results) != 2 {
			t.Errorf("%d results, %v", len(results), err)
		}
	})
}

func TestFanoutToNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list()
		if got, _, took := w.fanout(t, time.Minute, (&script{}).send); len(got) != 0 || took != 0 {
			t.Errorf("after %v: %v", took, got)
		}
	})
}

func TestFanoutWithoutDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.tell(registry.Update{Err: errors.New("the agent is away")})
		_, err := w.everybody(within(t, 10*time.Second), message(), (&script{}).send)
		expectError(t, err, rpc.Unreachable, "the agent is away")
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = w.everybody(canceled, message(), (&script{}).send)
		expectError(t, err, rpc.Canceled)
		w.fleet.Close()
		_, err = w.everybody(t.Context(), message(), (&script{}).send)
		expectError(t, err, rpc.Invalid, "closed")
	})
}

func TestFanoutWaitsShortlyForTheFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("always"), instance("briefly"))
		s := (&script{}).says("always", full).says("briefly", full, full, full, nil)
		got, results, took := w.fanout(t, time.Minute, s.send)
		if want := []string{"a accepted", "always failed", "briefly accepted"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		about(t, took, fullWait/2, fullWait)
		for _, r := range results {
			if r.Entry.ID == "always" {
				expectError(t, r.Err, rpc.Refused, "full")
			}
		}
	})
}

// TestFanoutToThoseThatLeave checks that a listed instance that says that it stops has failed, and
// that an instance which is no longer listed has left.
func TestFanoutToThoseThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("listed"), instance("left"))
		if _, _, took := w.fanout(t, time.Minute, (&script{}).send); took != 0 { // connects
			t.Fatal(took)
		}
		w.registry.list(instance("a"), instance("listed"))
		s := (&script{}).says("listed", stopping).says("left", misdirected)
		got, _, took := w.fanout(t, time.Minute, s.send)
		if want := []string{"a accepted", "listed failed"}; !slices.Equal(got, want) || took != 0 {
			t.Errorf("after %v: %v, want %v at once", took, got, want)
		}
		got, _, _ = w.fanout(t, time.Minute, s.send)
		if want := []string{"a accepted"}; !slices.Equal(got, want) {
			t.Errorf("and the next time %v, want %v", got, want)
		}
	})
}

func TestFanoutToTheUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := make([]rpc.Instance, 102)
		for n := range list {
			list[n] = instance(fmt.Sprint("lost-", n), at("lost"))
		}
		list[100], list[101] = instance("refused", at("nowhere")), instance("slow", at("slow"))
		w := newWorld(t, list...)
		defer w.process("slow")()
		w.network.Lose("lost")
		w.network.Delay("slow", 500*time.Millisecond)
		got, _, took := w.fanout(t, time.Minute, invoke)
		if want := "slow accepted"; !slices.Contains(got, want) || len(got) != len(list) {
			t.Errorf("%d results, and not %q", len(got), want)
		}
		if n := strings.Count(strings.Join(got, "\n"), "failed"); n != 101 {
			t.Errorf("%d failed, want 101", n)
		}
		about(t, took, connectBudget, 2*(connectBudget+patience))
	})
}

func TestFanoutInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		list := make([]rpc.Instance, n)
		for i := range list {
			list[i] = instance(fmt.Sprint(i))
		}
		w := newWorld(t, list...)
		var now, most atomic.Int64
		var mu sync.Mutex
		seen := map[string]int{}
		got, _, took := w.fanout(t, time.Minute, func(_ context.Context, a Attempt) error {
			running := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); running > m && !most.CompareAndSwap(m, running); m = most.Load() {
			}
			mu.Lock()
			seen[a.Entry.ID]++
			mu.Unlock()
			time.Sleep(time.Second)
			return nil
		})
		if len(got) != n || len(seen) != n {
			t.Errorf("%d results, %d were sent to", len(got), len(seen))
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("%s was sent to %d times", id, times)
			}
		}
		if most.Load() != n {
			t.Errorf("%d at a time, want %d", most.Load(), n)
		}
		about(t, took, time.Second, time.Second)
	})
}

func TestFanoutEndsWithItsContext(t *testing.T) {
	tests := map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		kind rpc.Kind // of one that was not sent to
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		}, rpc.Refused},
		"canceled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(100*time.Millisecond, cancel)
			return ctx, cancel
		}, rpc.Canceled},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		kind rpc.Kind
	}) {
		w := newWorld(t, instance("a"), instance("full"), instance("lost", at("lost")), instance("runs"))
		w.network.Lose("lost")
		ctx, cancel := tt.end(t.Context())
		defer cancel()
		begin := time.Now()
		results, err := w.everybody(ctx, message(), func(ctx context.Context, a Attempt) error {
			switch a.Entry.ID {
			case "full":
				return full
			case "runs":
				<-ctx.Done()
				return mayHaveRun(rpc.Timeout)
			default:
				return nil
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		about(t, time.Since(begin), 100*time.Millisecond, 100*time.Millisecond)
		for _, r := range results {
			switch r.Entry.ID {
			case "a":
				if r.Err != nil {
					t.Error(r.Err)
				}
			case "full":
				expectError(t, r.Err, tt.kind)
			case "lost":
				if !rpc.SafeToRetry(r.Err) {
					t.Errorf("lost: %v", r.Err)
				}
			case "runs":
				if rpc.SafeToRetry(r.Err) {
					t.Errorf("runs: %v", r.Err)
				}
			}
		}
	})
}

// TestFanoutSendsNothingTwice checks that a message that may have run is not sent again, whatever
// the status.
func TestFanoutSendsNothingTwice(t *testing.T) {
	answers := map[string]error{"x": errors.New("x")}
	for k := rpc.Unknown; k <= rpc.Untrusted; k++ {
		answers[k.Name()] = mayHaveRun(k)
	}
	bubble(t, answers, func(t *testing.T, answer error) {
		w := newWorld(t, instance("a"))
		s := (&script{}).says("a", full, answer)
		got, _, _ := w.fanout(t, time.Minute, s.send)
		if !slices.Equal(got, []string{"a failed"}) {
			t.Errorf("got %v", got)
		}
		s.expect(t, "a", "a")
	})
}

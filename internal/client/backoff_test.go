package client

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// late is a call that is not answered in time.
func late(ctx context.Context) error {
	<-ctx.Done()
	return &rpc.Error{Kind: rpc.Timeout, Cause: ctx.Err()}
}

// took makes a call. It returns how long the call itself took, and how long the caller waited in
// total.
func took(t *testing.T, b Backoff, ctx context.Context, do func(context.Context) error) (call, whole time.Duration, err error) {
	t.Helper()
	start := time.Now()
	err = b.call(ctx, "", "foo", func(ctx context.Context) error {
		defer func() { call = time.Since(start) }()
		return do(ctx)
	})
	return call, time.Since(start), err
}

func TestBackoffDoublesTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Learned: &Timeouts{}}
		waits := map[time.Duration]bool{}
		for _, want := range []string{"1m0s", "2m0s", "4m0s", "8m0s", "10m0s", "10m0s", "10m0s"} {
			call, whole, err := took(t, b, t.Context(), late)
			if !errors.Is(err, rpc.Timeout) || call.String() != want {
				t.Errorf("it took %v: %v; want %s", call, err, want)
			}
			if wait := whole - call; wait < 0 || wait > time.Minute {
				t.Errorf("the error came %v later", wait)
			}
			waits[whole-call] = true
		}
		if len(waits) < 5 {
			t.Errorf("the waits are not random: %v", waits)
		}
		if _, _, err := took(t, b, t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		if got := b.Timeout("", "foo"); got != 10*time.Minute {
			t.Errorf("a success lowered it to %v", got)
		}
		if other, scoped := b.Timeout("", "bar"), b.Timeout("ns", "foo"); other != time.Minute || scoped != time.Minute {
			t.Errorf("other methods have %v and %v", other, scoped)
		}
	})
}

// The wait is limited by the method's timeout and by Initial.
func TestBackoffWaitIsBoundedByInitial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const initial = 10 * time.Second
		longest := time.Duration(0)
		for range 20 {
			b := Backoff{Initial: initial, Learned: &Timeouts{}}
			for range 5 {
				call, whole, err := took(t, b, t.Context(), late)
				if !errors.Is(err, rpc.Timeout) {
					t.Fatal(err)
				}
				longest = max(longest, whole-call)
			}
		}
		if longest > initial || longest < initial/2 {
			t.Errorf("the longest of 100 waits is %v, and the bound is %v", longest, initial)
		}
	})
}

func TestBackoffKnowsMethodsByNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Initial: time.Second, Learned: &Timeouts{}}
		if err := b.call(t.Context(), "ns", "foo", late); !errors.Is(err, rpc.Timeout) {
			t.Error(err)
		}
		if got, plain := b.Timeout("ns", "foo"), b.Timeout("", "foo"); got != 2*time.Second || plain != time.Second {
			t.Errorf("got %v, and %v without the namespace", got, plain)
		}
	})
}

// If several callers time out at the same time, the timeout doubles once.
func TestBackoffOfManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Initial: time.Second, Max: time.Hour, Learned: &Timeouts{}}
		for round := range 3 {
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() { _ = b.call(t.Context(), "", "foo", late) })
			}
			callers.Wait()
			if got, want := b.Timeout("", "foo"), time.Second<<(round+1); got != want {
				t.Errorf("after round %d it is %v, want %v", round, got, want)
			}
		}
	})
}

func TestBackoffOnlyOnTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []error{
			&rpc.Error{Kind: rpc.Remote, Cause: &rpc.RemoteError{Type: "oslorpc.Timeout"}}, &rpc.Error{Kind: rpc.NoInstance, Cause: context.DeadlineExceeded},
			&rpc.Error{Kind: rpc.OutcomeUnknown}, &rpc.Error{Kind: rpc.Canceled}, nil,
		} {
			b := Backoff{Learned: &Timeouts{}}
			call, whole, err := took(t, b, t.Context(), func(context.Context) error { return want })
			if !errors.Is(err, want) || call != 0 || whole != 0 || b.Timeout("", "foo") != time.Minute {
				t.Errorf("%v: it took %v and is %v then", err, whole, b.Timeout("", "foo"))
			}
		}
	})
}

func TestDeadlineOfTheCallerIsNotTheMethodsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Learned: &Timeouts{}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, whole, err := took(t, b, ctx, late)
		if !errors.Is(err, rpc.Timeout) || whole != 10*time.Second || b.Timeout("", "foo") != time.Minute {
			t.Errorf("it took %v: %v", whole, err)
		}
	})
}

// A caller without time left does not wait.
func TestBackoffWaitsNoLongerThanTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			b := Backoff{Learned: &Timeouts{}}
			ctx, cancel := context.WithTimeout(t.Context(), 61*time.Second)
			_, whole, _ := took(t, b, ctx, late)
			if cancel(); whole > 61*time.Second || b.Timeout("", "foo") != 2*time.Minute {
				t.Errorf("it took %v and is %v then", whole, b.Timeout("", "foo"))
			}
		}
	})
}

func TestBackoffSetMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Initial: 20 * time.Second, Learned: &Timeouts{}}
		_ = b.call(t.Context(), "", "foo", late)
		for _, step := range []struct {
			set      time.Duration
			foo, bar string
		}{
			{time.Hour, "40s", "20s"}, {0, "40s", "20s"}, {-time.Second, "40s", "20s"},
			{30 * time.Second, "30s", "20s"}, {10 * time.Second, "10s", "10s"}, {15 * time.Second, "10s", "10s"},
		} {
			b.SetMax(step.set)
			foo, bar := b.Timeout("", "foo").String(), b.Timeout("", "bar").String()
			if foo != step.foo || bar != step.bar {
				t.Errorf("after %v they are %s and %s, want %s and %s", step.set, foo, bar, step.foo, step.bar)
			}
		}
		if call, whole, _ := took(t, b, t.Context(), late); call != 10*time.Second || whole > 20*time.Second {
			t.Errorf("a call took %v, and %v in all", call, whole)
		}
		if got := b.Timeout("", "foo"); got != 10*time.Second {
			t.Errorf("then it is %v", got)
		}
	})
}

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// gather sends to all servers within a deadline, and returns the answers when no more arrive.
func (w *world) gather(t *testing.T, ctx context.Context, ask Ask[string]) (*Audience, map[string]Answer[string]) {
	t.Helper()
	audience, err := AudienceOf(ctx, w.topic, message())
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]Answer[string]{}
	for a := range Gather(ctx, audience, ask) {
		if _, twice := answers[a.Entry.ID]; twice {
			t.Errorf("%s answered twice", a.Entry.ID)
		}
		answers[a.Entry.ID] = a
	}
	if len(answers) != len(audience.Reached) {
		t.Errorf("%d answers of %d instances", len(answers), len(audience.Reached))
	}
	return audience, answers
}

func TestGatherAnswersOfEachInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"), instance("old", old), instance("no-method"), instance("lost"), instance("full"))
		s := (&script{}).says("no-method", noMethod).says("lost", lost).says("full", full, full, nil)
		audience, answers := w.gather(t, within(t, time.Minute), func(ctx context.Context, a Attempt) (string, error) {
			return "of " + a.Entry.ID, s.send(ctx, a)
		})
		for id, want := range map[string]string{"a": "accepted", "b": "accepted", "full": "accepted", "no-method": "skipped", "lost": "failed"} {
			if got := outcome(answers[id].Result); got != want || answers[id].Value != "of "+id {
				t.Errorf("%s: %s, %q", id, got, answers[id].Value)
			}
		}
		if len(audience.Others) != 1 || !audience.Others[0].Skipped {
			t.Fatalf("skipped are %v", audience.Others)
		}
		expectError(t, audience.Others[0].Err, rpc.UnsupportedVersion, "host-old")
	})
}

// TestGatherIsNotHeldUp checks that slow servers do not delay others, however many are slow.
func TestGatherIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := make([]rpc.Instance, 4*parallel)
		for i := range list {
			list[i] = instance(fmt.Sprint(i))
		}
		w := newWorld(t, list...)
		begin := time.Now()
		w.gather(t, within(t, time.Minute), func(context.Context, Attempt) (string, error) {
			time.Sleep(time.Second)
			return "", nil
		})
		about(t, time.Since(begin), time.Second, time.Second)
	})
}

// TestGatherConnectsToSomeAtATime checks that a thousand connections do not start at once.
func TestGatherConnectsToSomeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := make([]rpc.Instance, 2*parallel)
		for i := range list {
			addr := fmt.Sprint("lost-", i)
			list[i] = instance(addr, at(addr))
		}
		w := newWorld(t, list...)
		for _, i := range list {
			w.network.Lose(i.Addr)
		}
		begin := time.Now()
		time.AfterFunc(patience/2, func() {
			begun := 0
			for _, i := range list {
				begun += w.network.Dials(i.Addr)
			}
			if begun != parallel {
				t.Errorf("at first, %d are begun, want %d", begun, parallel)
			}
		})
		_, answers := w.gather(t, within(t, time.Minute), func(ctx context.Context, a Attempt) (string, error) {
			return "", invoke(ctx, a)
		})
		for _, a := range answers {
			expectError(t, a.Err, rpc.Unreachable)
		}
		// Each is tried once more, since this process might have been busy with the others.
		about(t, time.Since(begin), 2*connectBudget, 2*connectBudget+4*patience)

		begin = time.Now()
		w.gather(t, within(t, time.Minute), func(ctx context.Context, a Attempt) (string, error) { return "", invoke(ctx, a) })
		about(t, time.Since(begin), 0, 4*patience) // now they are known to be down
	})
}

func TestGatherEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("runs"), instance("lost", at("lost")))
		w.network.Lose("lost")
		begin := time.Now()
		_, answers := w.gather(t, within(t, 100*time.Millisecond), func(ctx context.Context, a Attempt) (string, error) {
			if a.Entry.ID == "a" {
				return "", nil
			}
			<-ctx.Done()
			return "", mayHaveRun(rpc.Timeout)
		})
		about(t, time.Since(begin), 100*time.Millisecond, 100*time.Millisecond)
		if answers["a"].Err != nil || rpc.SafeToRetry(answers["runs"].Err) || !rpc.SafeToRetry(answers["lost"].Err) {
			t.Errorf("got %v", answers)
		}
	})
}

// TestGatherNeedsNoReader checks that a reply that is not received delays nothing.
func TestGatherNeedsNoReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		audience, err := AudienceOf(t.Context(), w.topic, message())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var asked []string
		Gather(t.Context(), audience, func(_ context.Context, a Attempt) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, a.Entry.ID)
			return "", nil
		})
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(asked)
		if !slices.Equal(asked, []string{"a", "b"}) {
			t.Errorf("asked were %v", asked)
		}
	})
}

func TestEverybodyWithoutDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.tell(registry.Update{Err: errors.New("the agent is away")})
		_, err := AudienceOf(within(t, time.Second), w.topic, message())
		expectError(t, err, rpc.Unreachable, "the agent is away")
	})
}

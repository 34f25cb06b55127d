package oslorpc_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ledger counts how often each message ran, on any server.
type ledger struct {
	mu  sync.Mutex
	ran map[int]int
}

func newLedger() *ledger { return &ledger{ran: map[int]int{}} }

// endpoint returns a method that counts its message. If step is not nil, the method first receives
// from step.
func (l *ledger) endpoint(step <-chan struct{}) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{
		"record": oslorpc.Func(func(_ context.Context, args number) (any, error) {
			if step != nil {
				<-step
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ran[args.N]++
			return nil, nil
		}),
	}}
}

// check fails unless each accepted message ran once, and no other message ran.
func (l *ledger) check(t *testing.T, accepted map[int]bool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range accepted {
		if l.ran[n] != 1 {
			t.Errorf("message %d was accepted and ran %d times", n, l.ran[n])
		}
	}
	for n, times := range l.ran {
		if !accepted[n] {
			t.Errorf("message %d was refused and ran %d times", n, times)
		}
	}
}

// castAll sends n casts concurrently, numbered from first, and returns the casts that were
// accepted. All others must have been refused.
func castAll(t *testing.T, c *oslorpc.Client, first, n int) map[int]bool {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	accepted := map[int]bool{}
	for i := first; i < first+n; i++ {
		all.Go(func() {
			err := c.Cast(context.Background(), "record", number{i})
			switch {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				accepted[i] = true
			case !oslorpc.SafeToRetry(err):
				t.Errorf("message %d was neither accepted nor refused: %v", i, err)
			}
		})
	}
	all.Wait()
	return accepted
}

// Of 200 casts to a server that accepts 54 at a time, each runs exactly once, or its sender learns
// that it did not run.
func TestCastsAtASmallQueue(t *testing.T) {
	for name, retries := range map[string]int{"one attempt": 0, "until the deadline": -1} {
		t.Run(name, func(t *testing.T) {
			l, step := newLedger(), make(chan struct{})
			s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithWorkers(4), oslorpc.WithQueue(50, 1<<20))
			s.Add(l.endpoint(step))
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if retries < 0 { // all fit in, in time
				close(step)
			}
			accepted := castAll(t, client(t, oslorpc.WithRetry(retries)), 0, 200)
			if retries < 0 && len(accepted) != 200 || retries == 0 && len(accepted) != 54 {
				t.Errorf("%d of 200 were accepted", len(accepted))
			}
			if retries == 0 {
				close(step)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			l.check(t, accepted)
		})
	}
}

// Senders send without pause to servers of one name that stop and start. Each accepted message runs
// once, and another server always takes over.
func TestStopAndRestartUnderLoad(t *testing.T) {
	l := newLedger()
	var servers [2]*oslorpc.Server
	for i := range servers {
		servers[i] = serve(t, "node1", l.endpoint(nil))
	}
	c := client(t, oslorpc.WithServer("node1"))
	done := make(chan struct{})
	var senders sync.WaitGroup
	var mu sync.Mutex
	accepted := map[int]bool{}
	for sender := range 4 {
		senders.Go(func() {
			for n := sender * 1_000_000; ; n += 8 {
				select {
				case <-done:
					return
				default:
				}
				some := castAll(t, c, n, 8)
				mu.Lock()
				maps.Copy(accepted, some)
				mu.Unlock()
			}
		})
	}
	soFar := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted)
	}
	for range 10 {
		for _, s := range servers {
			before := soFar()
			until(t, "more are accepted", func() bool { return soFar() > before+20 })
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	senders.Wait()
	for _, s := range servers {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	l.check(t, accepted)
}

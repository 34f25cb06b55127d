package delivery

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// freeze makes the process at the address "frozen" accept connections and answer nothing from now
// on, and returns when this is known. Outstanding messages there end with the test or by keepalive.
func (w *world) freeze(t *testing.T) {
	t.Helper()
	t.Cleanup(w.process("frozen"))
	var entry *route.Entry
	for _, e := range w.topic.Now().Entries() {
		if e.Addr == "frozen" {
			entry = e
		}
	}
	p := entry.Link
	if err := p.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.network.Lose("frozen")
	ctx, cancel := context.WithCancel(context.Background())
	var outstanding sync.WaitGroup
	outstanding.Go(func() { _ = send(ctx, entry) })
	t.Cleanup(func() {
		cancel()
		outstanding.Wait()
	})
	for begin := time.Now(); p.Health() != carrier.Silent; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 3*time.Second {
			t.Fatalf("after 3 s a frozen peer is %s", p.Health())
		}
	}
}

// TestSilentInstanceIsAvoided checks that messages for any server avoid a silent instance without
// delay.
func TestSilentInstanceIsAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("frozen")), instance("b", at("alive")))
		t.Cleanup(w.process("alive"))
		w.freeze(t)
		for turn := range uint64(100) {
			begin, m := time.Now(), message()
			m.Turn = turn
			if err := One(within(t, time.Minute), w.topic, m, invoke); err != nil {
				t.Fatal(err)
			}
			about(t, time.Since(begin), 0, patience) // the first one connects
		}
	})
}

// TestMessageForASilentServerWaitsUnsent checks that the message waits until the server answers,
// another instance has its name, or the deadline passes.
func TestMessageForASilentServerWaitsUnsent(t *testing.T) {
	const back = 5 * time.Second
	for name, tt := range map[string]struct {
		change func(*world)
		m      *Message
		want   string // who gets it
		words  string
	}{
		"it answers":              {func(w *world) { w.network.Find("frozen") }, message(to("host-a")), "a", ""},
		"it answers, for any":     {func(w *world) { w.network.Find("frozen") }, message(), "a", ""},
		"another has its name":    {func(w *world) { w.registry.list(instance("a", at("frozen")), instance("b", server("host-a"))) }, message(to("host-a")), "b", ""},
		"another comes, for any":  {func(w *world) { w.registry.list(instance("a", at("frozen")), instance("b")) }, message(), "b", ""},
		"it stays as it is":       {func(*world) {}, message(to("host-a")), "", "host-a at frozen accepts connections but sends nothing; its process may be hung"},
		"it stays as it is, once": {func(*world) {}, message(rounds(1)), "", "host-a at frozen accepts connections but sends nothing; its process may be hung"},
		"it stays so, fail fast":  {func(*world) {}, message(failFast), "", "host-a at frozen accepts connections but sends nothing; its process may be hung"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("a", at("frozen")))
				w.freeze(t)
				time.AfterFunc(back, func() { tt.change(w) })
				var s script
				begin := time.Now()
				err := One(within(t, 9*time.Second), w.topic, tt.m, s.send) // before the keepalive
				if tt.want == "" {
					s.expect(t)
					expectError(t, err, rpc.Unreachable, tt.words)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				s.expect(t, tt.want)
				about(t, time.Since(begin), back, back+500*time.Millisecond)
			})
		})
	}
}

// TestFanoutWaitsForTheSilent checks that a fanout waits until silent servers answer or the
// deadline passes.
func TestFanoutWaitsForTheSilent(t *testing.T) {
	for name, answers := range map[string]bool{"it answers": true, "it stays as it is": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("a", at("frozen")), instance("b"))
				w.freeze(t)
				const back, deadline = 4 * time.Second, 8 * time.Second
				if answers {
					time.AfterFunc(back, func() { w.network.Find("frozen") })
				}
				var s script
				got, results, took := w.fanout(t, deadline, s.send)
				want := []string{"a failed", "b accepted"}
				if answers {
					want = []string{"a accepted", "b accepted"}
					about(t, took, back, back+500*time.Millisecond)
				} else {
					about(t, took, deadline, deadline)
					s.expect(t, "b")
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				for _, r := range results {
					if r.Err != nil {
						expectError(t, r.Err, rpc.Unreachable, "host-a at frozen accepts connections but sends nothing")
					}
				}
			})
		})
	}
}

// crowded serves an address with a limit on streams, where methods run until their callers give up.
func (w *world) crowded(addr string, streams uint32) (kill func()) {
	return w.network.Serve(addr, nil, grpc.MaxConcurrentStreams(streams), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if method, _ := grpc.MethodFromServerStream(stream); method != "/test/Run" {
			return status.Error(codes.Unimplemented, "unknown")
		}
		<-stream.Context().Done()
		return stream.SendMsg(&emptypb.Empty{})
	}))
}

// occupy uses n streams of an instance until end is called.
func (w *world) occupy(e *route.Entry, n int) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range n {
		running.Go(func() { _ = send(ctx, e) })
	}
	synctest.Wait()
	return func() {
		cancel()
		running.Wait()
	}
}

// TestInstanceWithoutAFreeStream checks that such an instance is treated like a full one: it is
// skipped while there is another, and waited for otherwise.
func TestInstanceWithoutAFreeStream(t *testing.T) {
	const streams = 4
	setup := func(t *testing.T, others ...rpc.Instance) (*world, func()) {
		w := newWorld(t, append(others, instance("a", at("crowded")))...)
		t.Cleanup(w.crowded("crowded", streams))
		for _, e := range w.topic.Now().Entries() {
			if e.ID == "a" {
				if err := e.Link.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				return w, w.occupy(e, streams)
			}
		}
		return nil, nil
	}
	t.Run("another", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, end := setup(t, instance("b"))
			defer end()
			var s script
			for turn := range uint64(10) {
				m := message()
				m.Turn = turn
				if took, err := w.deliver(t, time.Minute, m, &s); err != nil || took > patience {
					t.Errorf("after %v: %v", took, err)
				}
			}
			if slices.Contains(s.sent, "a") {
				t.Errorf("it was sent to %v", s.sent)
			}
		})
	})
	t.Run("alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, end := setup(t)
			const busy = 10 * time.Second
			time.AfterFunc(busy, end)
			var s script
			took, err := w.deliver(t, time.Minute, message(to("host-a")), &s)
			if err != nil {
				t.Error(err)
			}
			about(t, took, busy, busy+maxPause)
		})
	})
	t.Run("another comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, end := setup(t)
			defer end()
			time.AfterFunc(500*time.Millisecond, func() { w.registry.list(instance("a", at("crowded")), instance("b")) })
			var s script
			took, err := w.deliver(t, time.Minute, message(), &s)
			if err != nil {
				t.Error(err)
			}
			about(t, took, slotBudget, slotBudget+patience)
			s.expect(t, "b")
		})
	})
	t.Run("for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, end := setup(t)
			defer end()
			monitored := message(func(m *Message) { m.Silence = 5 * time.Second })
			took, err := w.deliver(t, time.Minute, monitored, &script{})
			about(t, took, monitored.Silence, monitored.Silence)
			expectError(t, err, rpc.Refused, "host-a", "crowded", "allows 4 messages at a time")
			_, results, took := w.fanout(t, time.Minute, (&script{}).send)
			about(t, took, slotBudget, 2*slotBudget)
			expectError(t, results[0].Err, rpc.Refused, "allows 4 messages at a time")
		})
	})
}

// TestWaitingMessageWakesWhenItsServerIsBack checks that a message wakes then, and not at the end
// of its pause.
func TestWaitingMessageWakesWhenItsServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("own")), instance("b", at("other")))
		for range 20 {
			done := make(chan error)
			go func() { done <- One(within(t, time.Minute), w.topic, message(to("host-a")), invoke) }()
			time.Sleep(7 * time.Second)
			kill := w.process("own")
			back := time.Now()
			p := w.topic.Now().Entries()[0].Link
			for p.Health() != carrier.Ready {
				time.Sleep(time.Millisecond)
			}
			ready := time.Now()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			about(t, ready.Sub(back), 0, 1500*time.Millisecond)
			about(t, time.Since(ready), 0, 20*time.Millisecond)
			kill()
			time.Sleep(time.Second)
		}
	})
}

package delivery

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var foreign = error(refusal.New(refusal.Foreign))

// TestAddressThatLedElsewhereOnce checks that a listed instance is tried again after some seconds,
// over another connection.
func TestAddressThatLedElsewhereOnce(t *testing.T) {
	for name, answer := range map[string]error{"another process": misdirected, "another program": foreign} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("a", at("own")))
				defer w.process("own")()
				s := (&script{}).says("a", answer, nil)
				var conns []*grpc.ClientConn
				send := func(ctx context.Context, a Attempt) error {
					conns = append(conns, connOf(a))
					return s.send(ctx, a)
				}
				begin := time.Now()
				if err := One(within(t, time.Minute), w.topic, message(to("host-a")), send); err != nil {
					t.Fatal(err)
				}
				about(t, time.Since(begin), 5*time.Second, 6*time.Second)
				if len(conns) != 2 || conns[0] == conns[1] {
					t.Errorf("it was sent %d times, over the same connection: %v", len(conns), conns[0] == conns[1])
				}
			})
		})
	}
}

// TestAddressThatLeadsElsewhere checks that errors say that another process is at the address. A
// fanout reports this too, even while the instance is avoided.
func TestAddressThatLeadsElsewhere(t *testing.T) {
	const why = "stale registration of server \"host-a\" at up, where another process listens now: "
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		s := (&script{}).says("a", misdirected)
		for _, m := range []*Message{message(to("host-a")), message(), message(to("host-a"), failFast), message(failFast), message(to("host-a"), rounds(1))} {
			_, err := w.deliver(t, 7*time.Second, m, s)
			expectError(t, err, rpc.Refused, "host-a", why)
			got, results, took := w.fanout(t, time.Minute, s.send)
			if !slices.Equal(got, []string{"a failed"}) || took != 0 {
				t.Fatalf("after %v: %v", took, got)
			}
			expectError(t, results[0].Err, rpc.Refused, "host-a", why)
		}
		w.registry.list(instance("a"), instance("b"))
		var elsewhere script
		elsewhere.says("a", misdirected)
		for turn := range uint64(10) { // others are sent to at once
			m := message()
			m.Turn = turn
			if took, err := w.deliver(t, time.Minute, m, &elsewhere); err != nil || took != 0 {
				t.Errorf("after %v: %v", took, err)
			}
		}
		if n := slices.Index(elsewhere.sent, "a"); n >= 0 && slices.Contains(elsewhere.sent[n+1:], "a") {
			t.Errorf("it was sent to %v", elsewhere.sent)
		}
	})
}

// TestCallsOnTheOldConnectionGoOn checks calls on a connection while another message finds that it
// leads to another process. The calls may be for another server there, so they go on.
func TestCallsOnTheOldConnectionGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		running := make(chan struct{})
		outcome := make(chan error)
		go func() {
			outcome <- One(t.Context(), w.topic, message(to("host-b")), func(_ context.Context, a Attempt) error {
				close(running)
				time.Sleep(time.Minute)
				if connOf(a).GetState().String() == "SHUTDOWN" {
					return lost
				}
				return nil
			})
		}()
		<-running
		_, _ = w.deliver(t, time.Second, message(to("host-a")), (&script{}).says("a", misdirected))
		if err := <-outcome; err != nil {
			t.Error(err)
		}
	})
}

// TestGracefulRestartOfTheOnlyServerWithAVersion checks that messages wait for the restart although
// an older server is up, both while the stopping server still has its connection and after that.
func TestGracefulRestartOfTheOnlyServerWithAVersion(t *testing.T) {
	for name, m := range map[string]*Message{"any": message(), "server": message(to("host-new")), "cast": message(func(m *Message) { m.Cast = true })} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("old", old), instance("new", at("own")))
				defer w.process("own")()
				if err := w.topic.Now().Entries()[0].Link.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.registry.list(instance("old", old)) // it withdrew, and finishes what it has
				s := (&script{}).says("new", stopping)
				time.AfterFunc(8*time.Second, func() { w.registry.list(instance("old", old), instance("newer", server("host-new"))) })
				took, err := w.deliver(t, 30*time.Second, m, s)
				if err != nil || took != 8*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
				s.expect(t, "new", "newer")
			})
		})
	}
}

// TestVersionOfAServerThatLeftIsGivenUp checks that messages stop waiting half a minute after the
// server vanished.
func TestVersionOfAServerThatLeftIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("old", old), instance("new"))
		s := (&script{}).says("new", stopping)
		time.AfterFunc(time.Second, func() { w.registry.list(instance("old", old)) })
		took, err := w.deliver(t, time.Hour, message(), s)
		about(t, took, 30*time.Second, 33*time.Second)
		expectError(t, err, rpc.UnsupportedVersion, "1.1")
	})
}

// TestFanoutLeavesOutTheReplaced has an instance that was killed. Another one has its name, and
// discovery has not noticed yet.
func TestFanoutLeavesOutTheReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("killed", at("dead"), server("host-a")), instance("restarted", server("host-a")), instance("gone", at("gone")))
		got, results, _ := w.fanout(t, time.Minute, invokeOrUp)
		if want := []string{"gone failed", "restarted accepted"}; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for _, r := range results {
			if r.Entry.ID == "gone" {
				expectError(t, r.Err, rpc.Unreachable, "host-gone", "nothing listens at gone; the process is probably dead")
			}
		}
	})
}

// invokeOrUp is like invoke, except for the process at "up", which accepts everything.
func invokeOrUp(ctx context.Context, a Attempt) error {
	if a.Entry.Addr == "up" {
		return nil
	}
	return invoke(ctx, a)
}

// TestHungServersDoNotHoldUpAFanout checks that hung servers delay neither a fanout nor a gather to
// healthy servers.
func TestHungServersDoNotHoldUpAFanout(t *testing.T) {
	for name, size := range map[string]int{"small": 1000, "large": 16 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const hung, well = 2 * parallel, 130
				w := newWorld(t)
				var list []string
				for i := range hung + well {
					list = append(list, instanceName(i, hung))
				}
				w.listAll(list)
				begin := time.Now()
				var last time.Duration
				accepted := make(chan time.Duration, well)
				results, err := w.everybody(within(t, 20*time.Second), message(func(m *Message) { m.Size = size }),
					func(ctx context.Context, a Attempt) error {
						if a.Entry.Server[:4] == "hung" {
							<-ctx.Done()
							return mayHaveRun(rpc.Timeout)
						}
						accepted <- time.Since(begin)
						return nil
					})
				if err != nil || len(results) != hung+well || len(accepted) != well {
					t.Fatalf("%d results, %d accepted, %v", len(results), len(accepted), err)
				}
				for range well {
					last = max(last, <-accepted)
				}
				most := time.Duration(0)
				if size > 1<<20 { // 256 MiB at a time, and two seconds for the hung servers
					most = hung / 16 * sendingTime
				}
				about(t, last, 0, most)
			})
		})
	}
}

// TestFanoutBoundsBytes checks that a fanout limits the bytes on their way, and not the number of
// receivers.
func TestFanoutBoundsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var list []string
		for i := range 100 {
			list = append(list, instanceName(i, 0))
		}
		w.listAll(list)
		var running, most atomic.Int64
		_, err := w.everybody(within(t, time.Minute), message(func(m *Message) { m.Size = 16 << 20 }),
			func(context.Context, Attempt) error {
				now := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(time.Second)
				return nil
			})
		if err != nil || most.Load() != maxSending/(16<<20) {
			t.Errorf("%d at a time, %v", most.Load(), err)
		}
	})
}

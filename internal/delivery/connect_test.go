package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// process starts a process that answers every RPC at once.
func (w *world) process(addr string) (kill func()) {
	return w.network.Serve(addr, nil, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&emptypb.Empty{})
	}))
}

// invoke sends an RPC for a message.
func invoke(ctx context.Context, a Attempt) error {
	var opened grpcpeer.Peer
	err := connOf(a).Invoke(ctx, "/test/Run", &emptypb.Empty{}, &emptypb.Empty{}, grpc.Peer(&opened))
	if err == nil {
		return nil
	}
	return rpcstatus.Decode(err, opened.Addr != nil)
}

// TestDeadInstanceCostsLittle checks that a dead instance delays at most one message while another
// instance is up.
func TestDeadInstanceCostsLittle(t *testing.T) {
	tests := map[string]struct {
		wreck func(*world)
		most  time.Duration
	}{
		"refused": {func(*world) {}, 0},
		"lost":    {func(w *world) { w.network.Lose("dead") }, patience},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		wreck func(*world)
		most  time.Duration
	}) {
		w := newWorld(t, instance("a", at("dead")), instance("b", at("alive")))
		defer w.process("alive")()
		tt.wreck(w)
		var total time.Duration
		for turn := range uint64(1000) {
			begin, m := time.Now(), message()
			m.Turn = turn
			if err := One(within(t, time.Minute), w.topic, m, invoke); err != nil {
				t.Fatal(err)
			}
			total += time.Since(begin)
			time.Sleep(20 * time.Millisecond) // the attempts in the background go on meanwhile
		}
		about(t, total, 0, tt.most)
	})
}

// TestPatienceIsNotTheEnd checks that messages wait for the only instance although its connection
// takes longer than usual.
func TestPatienceIsNotTheEnd(t *testing.T) {
	for name, m := range map[string]*Message{"any": message(), "server": message(to("host-a")), "once": message(rounds(1)), "fail fast": message(failFast)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const slow = 300 * time.Millisecond
				w := newWorld(t, instance("a", at("slow")))
				defer w.process("slow")()
				w.network.Delay("slow", slow)
				begin := time.Now()
				if err := One(within(t, time.Minute), w.topic, m, invoke); err != nil {
					t.Error(err)
				}
				about(t, time.Since(begin), slow, slow)
			})
		})
	}
}

// TestWhatTheSlowCannotServe checks that the error is the refusal of a slow instance, and not its
// slow connection.
func TestWhatTheSlowCannotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("slow")))
		defer w.process("slow")()
		w.network.Delay("slow", 2*patience)
		_, err := w.deliver(t, time.Minute, message(rounds(1)), (&script{}).says("a", noMethod))
		expectError(t, err, rpc.NoSuchMethod)
	})
}

// TestSlowInstancesAreConnectedTogether checks that a message starts one connection after another
// and uses the first that is ready.
func TestSlowInstancesAreConnectedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("a")), instance("b", at("b")), instance("c", at("c")))
		for addr, delay := range map[string]time.Duration{"a": 900 * time.Millisecond, "b": 800 * time.Millisecond, "c": 10 * time.Millisecond} {
			t.Cleanup(w.process(addr))
			w.network.Delay(addr, delay)
		}
		begin, to := time.Now(), ""
		err := One(within(t, time.Minute), w.topic, message(), func(ctx context.Context, a Attempt) error {
			to = a.Entry.ID
			return invoke(ctx, a)
		})
		if err != nil || to != "c" {
			t.Errorf("it went to %q: %v", to, err)
		}
		about(t, time.Since(begin), 2*patience, 2*patience+10*time.Millisecond)
	})
}

// TestUnreachableSaysWhy checks that the error tells the operator the cause.
func TestUnreachableSaysWhy(t *testing.T) {
	tests := map[string]struct {
		instance rpc.Instance
		m        *Message
		most     time.Duration
		words    []string
	}{
		"refused": {instance("a", at("nowhere")), message(), time.Minute, []string{"host-a", "nowhere", "connection refused"}},
		"refused, once": {
			instance("a", at("nowhere")), message(rounds(1)), 0, []string{"host-a", "nowhere", "connection refused"},
		},
		"lost":       {instance("a", at("lost")), message(to("host-a")), time.Minute, []string{"host-a", "lost"}},
		"lost, once": {instance("a", at("lost")), message(rounds(1)), connectBudget + patience, []string{"host-a", "lost"}},
		"an address that is none": {
			instance("a", at("\x00")), message(rounds(1)), connectBudget, []string{"host-a"},
		},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		instance rpc.Instance
		m        *Message
		most     time.Duration
		words    []string
	}) {
		w := newWorld(t, tt.instance)
		w.network.Lose("lost")
		begin := time.Now()
		err := One(within(t, time.Minute), w.topic, tt.m, invoke)
		about(t, time.Since(begin), 0, tt.most)
		expectError(t, err, rpc.Unreachable, tt.words...)
	})
}

// TestWhyIsNotForgotten checks that the error has the real cause, and not only that the deadline
// interrupted the last attempt.
func TestWhyIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("nowhere")))
		for n := range 20 {
			err := One(within(t, time.Duration(30+n)*100*time.Millisecond), w.topic, message(), invoke)
			expectLate(t, err, rpc.Unreachable, "connection refused")
		}
	})
}

// TestUnreachableBeforeADeadlineThatIsShort has deadlines that are so short that the cause is not
// known.
func TestUnreachableBeforeADeadlineThatIsShort(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, patience, patience + 1, 100 * time.Millisecond, connectBudget + patience} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("a", at("lost")))
				w.network.Lose("lost")
				begin := time.Now()
				err := One(within(t, d), w.topic, message(), invoke)
				about(t, time.Since(begin), d, d)
				expectError(t, err, rpc.Unreachable, "host-a")
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error does not match the deadline: %v", err)
				}
			})
		})
	}
}

func TestServerThatIsDownIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("own")))
		time.AfterFunc(20*time.Second, func() { t.Cleanup(w.process("own")) })
		begin := time.Now()
		if err := One(within(t, time.Minute), w.topic, message(to("host-a")), invoke); err != nil {
			t.Error(err)
		}
		about(t, time.Since(begin), 20*time.Second, 33*time.Second)
	})
}

// TestNewProcessOnAnOldAddress checks that a new process is reached at once, whatever the backoff
// of the old process.
func TestNewProcessOnAnOldAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("own")))
		_ = One(within(t, 30*time.Second), w.topic, message(to("host-a")), invoke)
		defer w.process("own")()
		w.registry.list(instance("a2", server("host-a"), at("own"), func(i *rpc.Instance) { i.BootID = "2" }))
		begin := time.Now()
		if err := One(within(t, time.Minute), w.topic, message(to("host-a")), invoke); err != nil {
			t.Error(err)
		}
		about(t, time.Since(begin), 0, 0)
	})
}

// TestDroppedPeer checks that an instance that is dropped between the choice and the sending counts
// as stopping.
func TestDroppedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("own")))
		defer w.process("own")()
		e := w.topic.Now().Entries()[0]
		w.fleet.Close()
		err := send(t.Context(), e)
		if !rpc.SafeToRetry(err) || !rpc.IsNotDelivered(err) {
			t.Errorf("got %v", err)
		}
	})
}

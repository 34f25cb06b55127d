package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMessageWaitsForAServer(t *testing.T) {
	for name, d := range map[string]time.Duration{"briefly": time.Second, "longer than a topic is watched unused": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.registry.list()
				time.AfterFunc(d, func() { w.registry.list(instance("a")) })
				var s script
				took, err := w.deliver(t, 2*time.Hour, message(), &s)
				if err != nil || took != d {
					t.Errorf("after %v: %v", took, err)
				}
				s.expect(t, "a")
			})
		})
	}
}

func TestNoServerCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a", func(i *rpc.Instance) { i.State = rpc.StateDraining }))
		took, err := w.deliver(t, 10*time.Second, message(), &script{})
		about(t, took, 10*time.Second, 10*time.Second)
		expectLate(t, err, rpc.NoInstance, "every server on the topic drains")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error does not match the deadline: %v", err)
		}
	})
}

// A monitored message waits for a server no longer than for a heartbeat.
func TestNoServerTakesAMonitoredMessage(t *testing.T) {
	const silence = 10 * time.Second
	monitored := func(m *Message) { m.Silence = silence }
	for name, c := range map[string]struct {
		listed []rpc.Instance
		says   error
		kind   rpc.Kind
		limit  time.Duration
		why    string
	}{
		"no server is there":    {nil, nil, rpc.NoInstance, time.Hour, "monitor"},
		"all are full":          {[]rpc.Instance{instance("a")}, full, rpc.Refused, time.Hour, "monitor"},
		"the deadline is first": {nil, nil, rpc.NoInstance, time.Second, "no server is on the topic"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.registry.list(c.listed...)
				took, err := w.deliver(t, c.limit, message(monitored), new(script).says("a", c.says))
				about(t, took, min(silence, c.limit), min(silence, c.limit))
				expectError(t, err, c.kind, c.why)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error does not match a deadline: %v", err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // nor does it matter how long one had it that refused it then
		w := newWorld(t, instance("a"), instance("b"))
		var sent int
		err := One(within(t, time.Hour), w.topic, message(monitored), func(context.Context, Attempt) error {
			if sent++; sent == 1 {
				time.Sleep(time.Minute)
				return stopping
			}
			return nil
		})
		if err != nil || sent != 2 {
			t.Errorf("it was sent %d times: %v", sent, err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // how long one takes that has it is its own business
		w := newWorld(t)
		w.registry.list()
		time.AfterFunc(silence/2, func() { w.registry.list(instance("a")) })
		err := One(within(t, time.Hour), w.topic, message(monitored), func(ctx context.Context, _ Attempt) error {
			time.Sleep(time.Minute)
			return ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestUnknownServerFailsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		time.Sleep(learnTime)
		took, err := w.deliver(t, time.Minute, message(to("host-x")), &script{})
		about(t, took, settleTime, settleTime)
		expectError(t, err, rpc.NoInstance, "host-x")
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the deadline is far: %v", err)
		}
	})
}

func TestNewServerIsWaitedForUntilDiscoverySettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		time.Sleep(learnTime)
		for n := range 4 { // news of others must not end the wait
			time.AfterFunc(time.Duration(n)*100*time.Millisecond, func() {
				w.registry.list(instance("a"), instance(fmt.Sprint("other-", n)))
			})
		}
		time.AfterFunc(settleTime-time.Millisecond, func() { w.registry.list(instance("x")) })
		if _, err := w.deliver(t, time.Minute, message(to("host-x")), &script{}); err != nil {
			t.Error(err)
		}
	})
}

func TestRecentServerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("x"))
		w.registry.list(instance("a"))
		time.Sleep(10 * time.Second)
		time.AfterFunc(45*time.Second, func() { w.registry.list(instance("a"), instance("x2", server("host-x"))) })
		var s script
		took, err := w.deliver(t, 10*time.Minute, message(to("host-x")), &s)
		if err != nil || took != 45*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		s.expect(t, "x2")
	})
}

// TestRecentServerIsGivenUp checks that messages stop waiting when the server is no longer recent,
// whatever else happens on the topic.
func TestRecentServerIsGivenUp(t *testing.T) {
	for name, busy := range map[string]bool{"on a quiet topic": false, "on a busy topic": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("a"), instance("x"))
				w.registry.list(instance("a"))
				if busy {
					for n := range 100 {
						time.AfterFunc(time.Duration(n)*time.Second, func() { w.registry.list(instance(fmt.Sprint("other-", n))) })
					}
				}
				took, err := w.deliver(t, 10*time.Minute, message(to("host-x")), &script{})
				about(t, took, time.Minute, time.Minute+maxPause)
				expectError(t, err, rpc.NoInstance, "host-x")
			})
		})
	}
}

// TestRestartingServerIsWaitedForByANewClient checks that a client that has not seen the server
// waits too, but not for long, and not if it fails fast.
func TestRestartingServerIsWaitedForByANewClient(t *testing.T) {
	for name, tt := range map[string]struct {
		m     *Message
		after time.Duration // the server comes
		took  time.Duration
		found bool
	}{
		"it is back soon": {message(to("host-x")), 2500 * time.Millisecond, 2500 * time.Millisecond, true},
		"it is not":       {message(to("host-x")), time.Hour, learnTime, false},
		"fail fast":       {message(to("host-x"), failFast), 100 * time.Millisecond, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("a"))
				time.AfterFunc(tt.after, func() { w.registry.list(instance("a"), instance("x")) })
				took, err := w.deliver(t, time.Minute, tt.m, &script{})
				if about(t, took, tt.took, tt.took); tt.found != (err == nil) {
					t.Error(err)
				}
				if !tt.found {
					expectError(t, err, rpc.NoInstance, "host-x")
				}
			})
		})
	}
}

// TestServerThatSaysItIsGone checks that messages wait for such a server, even if the registry has
// not noticed and has been silent for long. A misdirected instance is tried again from time to
// time.
func TestServerThatSaysItIsGone(t *testing.T) {
	for name, answer := range map[string]error{"stopping": stopping, "misdirected": misdirected} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, instance("x"))
				for range 60 {
					time.Sleep(time.Minute)
					w.topic.Now()
				}
				time.AfterFunc(20*time.Second, func() { w.registry.list(instance("x2", server("host-x"))) })
				s := (&script{}).says("x", answer)
				took, err := w.deliver(t, time.Minute, message(to("host-x")), s)
				if err != nil || took != 20*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
				if answers := s.sent; name == "misdirected" && (len(answers) < 5 || len(answers) > 7) {
					t.Errorf("it was sent to %v", answers)
				}
				s.sent = slices.Compact(s.sent)
				s.expect(t, "x", "x2")
			})
		})
	}
}

func TestDiscoveryDoesNotAnswer(t *testing.T) {
	tests := map[string]*Message{"patient": message(), "once": message(rounds(1)), "server": message(to("h"))}
	bubble(t, tests, func(t *testing.T, m *Message) {
		w := newWorld(t)
		w.registry.tell(registry.Update{Err: errors.New("the agent is away")})
		took, err := w.deliver(t, 10*time.Second, m, &script{})
		about(t, took, 10*time.Second, 10*time.Second)
		expectError(t, err, rpc.Unreachable, "not sent", "the agent is away")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error does not match the deadline: %v", err)
		}
	})
}

// A message that fails fast does not wait for an unavailable registry. It waits only briefly for a
// silent one.
func TestFailFastWithoutDiscovery(t *testing.T) {
	everybody := func(m *Message) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			_, err := w.everybody(ctx, m, nil)
			return err
		}
	}
	one := func(m *Message) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error { return One(ctx, w.topic, m, nil) }
	}
	tests := map[string]func(context.Context, *world) error{
		"any": one(message(failFast)), "server": one(message(failFast, to("h"))), "everybody": everybody(message(failFast)),
	}
	bubble(t, tests, func(t *testing.T, send func(context.Context, *world) error) {
		w := newWorld(t)
		begin := time.Now()
		err := send(within(t, time.Minute), w)
		about(t, time.Since(begin), time.Second, 3*time.Second)
		expectError(t, err, rpc.Unreachable, "not sent: a store at 192.0.2.1 did not answer within 3s")

		begin = time.Now()
		time.AfterFunc(100*time.Millisecond, func() { w.registry.tell(registry.Update{Err: errors.New("the agent is away")}) })
		err = send(within(t, time.Minute), w)
		about(t, time.Since(begin), 100*time.Millisecond, 100*time.Millisecond)
		expectError(t, err, rpc.Unreachable, "not sent", "the agent is away")

		begin = time.Now()
		err = send(within(t, time.Minute), w) // it is known already
		about(t, time.Since(begin), 0, 0)
		expectError(t, err, rpc.Unreachable, "the agent is away")
	})
}

// waits returns situations in which a message waits.
func waits() map[string]func(*world) (*Message, *script) {
	return map[string]func(*world) (*Message, *script){
		"for discovery": func(*world) (*Message, *script) { return message(), &script{} },
		"for anybody": func(w *world) (*Message, *script) {
			w.registry.list()
			return message(), &script{}
		},
		"for a server": func(w *world) (*Message, *script) {
			w.registry.list(instance("x"))
			w.registry.list()
			return message(to("host-x")), &script{}
		},
		"for one that is full": func(w *world) (*Message, *script) {
			w.registry.list(instance("a"))
			return message(), (&script{}).says("a", full)
		},
		"for a connection": func(w *world) (*Message, *script) {
			w.network.Lose("lost")
			w.registry.list(instance("a", at("lost")))
			return message(), (&script{}).says("a", notSent)
		},
	}
}

func TestCancel(t *testing.T) {
	bubble(t, waits(), func(t *testing.T, situation func(*world) (*Message, *script)) {
		w := newWorld(t)
		m, s := situation(w)
		why := errors.New("the user left")
		for name, cancel := range map[string]func() context.Context{
			"by the caller": func() context.Context {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, cancel)
				return ctx
			},
			"with a cause": func() context.Context {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(5*time.Second, func() { cancel(why) })
				return ctx
			},
		} {
			begin, ctx := time.Now(), cancel()
			err := One(ctx, w.topic, m, s.send)
			about(t, time.Since(begin), 5*time.Second, 5*time.Second)
			expectError(t, err, rpc.Canceled)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, context.Cause(ctx)) {
				t.Errorf("%s: the error does not match its cause: %v", name, err)
			}
		}
	})
}

// TestCancelForLateness checks that a context that is canceled because of another deadline counts
// as a context with a deadline.
func TestCancelForLateness(t *testing.T) {
	bubble(t, waits(), func(t *testing.T, situation func(*world) (*Message, *script)) {
		w := newWorld(t)
		m, s := situation(w)
		late := &rpc.Error{Kind: rpc.Timeout, Message: "no item came within the timeout"}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(late) })
		err := One(ctx, w.topic, m, s.send)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, late) || !rpc.SafeToRetry(err) || rpc.KindOf(err) == rpc.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

func TestEndedBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("lost")))
		w.network.Lose("lost")
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		expectError(t, One(canceled, w.topic, message(), (&script{}).send), rpc.Canceled)
		err := One(within(t, 0), w.topic, message(), (&script{}).send)
		if !errors.Is(err, context.DeadlineExceeded) || !rpc.SafeToRetry(err) {
			t.Errorf("with a deadline that is over: %v", err)
		}
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	bubble(t, waits(), func(t *testing.T, situation func(*world) (*Message, *script)) {
		w := newWorld(t)
		m, s := situation(w)
		time.AfterFunc(5*time.Second, w.fleet.Close)
		took, err := w.deliver(t, time.Hour, m, s)
		about(t, took, 5*time.Second, 5*time.Second+maxPause)
		expectError(t, err, rpc.Invalid, "closed")
	})
}

// TestLingeringIsPickedUpWhenItIsConnectedAgain checks that an instance that vanished from the
// registry is used again when it is connected, although the registry says nothing.
func TestLingeringIsPickedUpWhenItIsConnectedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		kill := w.network.Serve("own", nil)
		w.registry.list(instance("a", at("own")))
		if _, err := w.deliver(t, time.Second, message(), &script{}); err != nil {
			t.Fatal(err)
		}
		kill()
		w.registry.list()
		synctest.Wait()
		time.AfterFunc(5*time.Second, func() { t.Cleanup(w.network.Serve("own", nil)) })
		took, err := w.deliver(t, time.Minute, message(), &script{})
		if err != nil {
			t.Error(err)
		}
		about(t, took, 5*time.Second, 20*time.Second)
	})
}

// TestSlowSendOutlastsTheWatch has a call that runs for so long that the topic counts as idle. If
// the call is refused after that, the view must still be kept up to date.
func TestSlowSendOutlastsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		sent := 0
		err := One(within(t, 2*time.Hour), w.topic, message(), func(context.Context, Attempt) error {
			if sent++; sent > 1 {
				return nil
			}
			time.Sleep(time.Hour)
			w.registry.list(instance("b"))
			return stopping
		})
		if err != nil || sent != 2 || !w.topic.Closed() {
			t.Errorf("sent %d times, the first topic is closed: %v, error: %v", sent, w.topic.Closed(), err)
		}
	})
}

package oslorpc_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// listener is a server that is told when it may have missed messages.
type listener struct {
	*oslorpctest.Server

	reasons chan string
}

func listen(f *oslorpctest.Fleet, name string, options ...oslorpc.ServerOption) *listener {
	l := &listener{reasons: make(chan string, 100)}
	options = append(options, oslorpc.WithMissedMessages(func(_ context.Context, reason string) { l.reasons <- reason }))
	l.Server = f.Serve(oslorpc.Target{Topic: "agents", Server: name}, []oslorpc.Endpoint{newAgent(name).endpoint("1.2")}, options...)
	return l
}

// told returns how often the server was told since the last call.
func (l *listener) told(t *testing.T) int {
	t.Helper()
	synctest.Wait()
	n := len(l.reasons)
	for range n {
		if reason := <-l.reasons; !strings.Contains(reason, "could not deliver") {
			t.Errorf("the reason is %q", reason)
		}
	}
	return n
}

func (l *listener) wantTold(t *testing.T, when string, want int) {
	t.Helper()
	if got := l.told(t); got != want {
		t.Errorf("%s: it was told %d times, want %d", when, got, want)
	}
}

// deliveries are all ways to send a message. They return its error.
func deliveries() map[string]func(context.Context, *oslorpc.Client) error {
	call := func(ctx context.Context, c *oslorpc.Client) error {
		_, err := oslorpc.Call[string](ctx, c, "whoami", nil)
		return err
	}
	return map[string]func(context.Context, *oslorpc.Client) error{
		"call": call,
		"call of a method that fails": func(ctx context.Context, c *oslorpc.Client) error {
			if _, err := oslorpc.Call[any](ctx, c, "fail", nil); oslorpc.KindOf(err) != oslorpc.Remote {
				return err
			}
			return nil
		},
		"monitored call": func(ctx context.Context, c *oslorpc.Client) error {
			return call(ctx, c.Prepare(oslorpc.WithCallMonitorTimeout(time.Minute)))
		},
		"cast": func(ctx context.Context, c *oslorpc.Client) error { return c.Cast(ctx, "note", nil) },
		"fanout": func(ctx context.Context, c *oslorpc.Client) error {
			report, err := c.Fanout(ctx, "note", nil)
			if err != nil {
				return err
			}
			return report.Err()
		},
		"multicall": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Multicall[int](ctx, c, "count", limit{3}) {
				failed = err
			}
			return failed
		},
		"empty multicall": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Multicall[int](ctx, c, "count", limit{0}) {
				failed = err
			}
			return failed
		},
		"gather": func(ctx context.Context, c *oslorpc.Client) (failed error) {
			for _, err := range oslorpc.Gather[string](ctx, c, "whoami", nil) {
				failed = err
			}
			return failed
		},
	}
}

func eachDelivery(t *testing.T, test func(t *testing.T, send func(context.Context, *oslorpc.Client) error)) {
	t.Helper()
	for name, send := range deliveries() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, send) })
		})
	}
}

func agentsOf(transport *oslorpc.Transport) *oslorpc.Client {
	return transport.Client(oslorpc.Target{Topic: "agents", Version: "1.2"}, oslorpc.WithTimeout(30*time.Second))
}

func failingFanout(t *testing.T, c *oslorpc.Client) {
	t.Helper()
	if report, err := c.Fanout(t.Context(), "note", nil); err != nil || len(report.Failed) == 0 {
		t.Fatalf("the fanout did not fail: %+v, %v", report, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// If a fanout did not reach a server, the next message of any kind tells the server so, once.
func TestUndeliveredFanoutIsToldByTheNextMessage(t *testing.T) {
	eachDelivery(t, func(t *testing.T, send func(context.Context, *oslorpc.Client) error) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		c := agentsOf(f.Transport())
		for _, next := range []*oslorpc.Client{c, c.Prepare(oslorpc.WithServer("node1"))} {
			must(t, send(t.Context(), next))
			node1.wantTold(t, "nothing failed", 0)
			node1.Partition()
			failingFanout(t, c)
			node1.Heal()
			must(t, send(t.Context(), next))
			node1.wantTold(t, "the next message", 1)
			must(t, send(t.Context(), next))
			node1.wantTold(t, "the one after it", 0)
		}
	})
}

// Messages by server name, fanouts and gathers count as messages for the server. A message for any
// server does not.
func TestWhatCountsAsUndelivered(t *testing.T) {
	for name, send := range deliveries() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := oslorpctest.New(t)
				node1 := listen(f, "node1")
				everybody := name == "fanout" || name == "gather"
				for _, pinned := range []bool{false, true} {
					c := agentsOf(f.Transport()).Prepare(oslorpc.WithTimeout(10 * time.Second)) // it has no connection that a message could be in
					next := c
					if pinned {
						next = c.Prepare(oslorpc.WithServer("node1"))
					}
					node1.Partition()
					if send(t.Context(), next) == nil {
						t.Fatal("it arrived")
					}
					node1.Heal()
					want := 0
					if pinned || everybody {
						want = 1
					}
					must(t, c.Prepare(oslorpc.WithTimeout(time.Minute)).Cast(t.Context(), "note", nil))
					node1.wantTold(t, next.Target().Server, want)
					time.Sleep(10 * time.Second) // of reports it is told no more often
				}
			})
		})
	}
}

// A call whose deadline passed while the method ran was delivered.
func TestSlowCallIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		c := agentsOf(f.Transport()).Prepare(oslorpc.WithServer("node1"))
		if _, err := oslorpc.Call[any](t.Context(), c, "hang", nil); oslorpc.KindOf(err) != oslorpc.Timeout {
			t.Fatal(err)
		}
		must(t, c.Cast(t.Context(), "note", nil))
		node1.wantTold(t, "after a slow call", 0)
	})
}

// A cast is accepted quickly. If its deadline passed, it may not have arrived.
func TestSlowCastIsUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		c := agentsOf(f.Transport()).Prepare(oslorpc.WithServer("node1"))
		must(t, c.Cast(t.Context(), "note", nil))
		node1.Partition()
		err := c.Prepare(oslorpc.WithTimeout(time.Second)).Cast(t.Context(), "note", nil)
		if oslorpc.KindOf(err) != oslorpc.Timeout || oslorpc.SafeToRetry(err) {
			t.Fatal(err)
		}
		node1.Heal()
		must(t, c.Cast(t.Context(), "note", nil))
		node1.wantTold(t, "after a slow cast", 1)
	})
}

func TestSkippedServersMissedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		draining := make(chan string, 10)
		node2 := f.Transport().Server(oslorpc.Target{Topic: "agents", Server: "node2"},
			oslorpc.WithMissedMessages(func(_ context.Context, reason string) { draining <- reason }))
		node2.Add(newAgent("node2").endpoint("1.3"))
		must(t, node2.Start(t.Context()))
		must(t, node2.Drain(t.Context()))
		synctest.Wait()
		c := agentsOf(f.Transport())
		time.Sleep(time.Second) // so that they would be told
		report, err := c.Prepare(oslorpc.WithVersion("1.3")).Fanout(t.Context(), "note", nil)
		if err != nil || len(report.Skipped) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		report, err = c.Fanout(t.Context(), "nonexistent", nil) // as node1 itself says
		if err != nil || len(report.Skipped) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		for reply, err := range oslorpc.Gather[any](t.Context(), c, "nonexistent", nil) {
			if !reply.Skipped {
				t.Fatal(err)
			}
		}
		for _, server := range []string{"node1", "node2"} {
			must(t, c.Prepare(oslorpc.WithServer(server)).Cast(t.Context(), "note", nil))
		}
		node1.wantTold(t, "too old", 0)
		if len(draining) > 0 {
			t.Error("the draining one was told")
		}
	})
}

// A server that started after a message failed has missed nothing, even if the message was for its
// name.
func TestRestartedServerMissedNothing(t *testing.T) {
	eachDelivery(t, func(t *testing.T, send func(context.Context, *oslorpc.Client) error) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		c := agentsOf(f.Transport()).Prepare(oslorpc.WithServer("node1"))
		for _, pause := range []time.Duration{0, time.Second} {
			node1.Partition()
			failingFanout(t, c)
			if send(t.Context(), c) == nil {
				t.Fatal("it arrived")
			}
			node1.Kill()
			time.Sleep(pause)
			node1.Start()
			time.Sleep(pause)
			must(t, send(t.Context(), c))
			node1.wantTold(t, "after a restart", 0)
		}
	})
}

// A server that restarted between two failed messages missed the second.
func TestRestartedServerMissedWhatFailedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		c := agentsOf(f.Transport()).Prepare(oslorpc.WithServer("node1"), oslorpc.WithRetry(0))
		for range 2 {
			node1.Kill()
			if c.Cast(t.Context(), "note", nil) == nil {
				t.Fatal("it arrived")
			}
			node1.Start()
			time.Sleep(time.Second)
		}
		node1.Partition()
		if c.Cast(t.Context(), "note", nil) == nil {
			t.Fatal("it arrived")
		}
		node1.Heal()
		must(t, c.Prepare(oslorpc.WithRetry(-1)).Cast(t.Context(), "note", nil))
		node1.wantTold(t, "after the third", 1)
	})
}

// The report about missed messages stays pending while messages fail, including messages that would
// carry the report.
func TestUndeliveredSurvivesAnotherFailure(t *testing.T) {
	eachDelivery(t, func(t *testing.T, send func(context.Context, *oslorpc.Client) error) {
		f := oslorpctest.New(t)
		node1 := listen(f, "node1")
		c := agentsOf(f.Transport())
		must(t, send(t.Context(), c)) // so that there is a connection, and the next ones are sent
		node1.Partition()
		failingFanout(t, c)
		if send(t.Context(), c) == nil {
			t.Fatal("it arrived")
		}
		time.Sleep(time.Minute)
		node1.Heal()
		must(t, send(t.Context(), c))
		node1.wantTold(t, "after two failures", 1)
	})
}

// Each transport is a separate sender, and reports only its own messages.
func TestSendersTellOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1, node2 := listen(f, "node1"), listen(f, "node2")
		one, two := agentsOf(f.Transport()), agentsOf(f.Transport())
		node1.Partition()
		failingFanout(t, one)
		node1.Heal()
		for _, c := range []*oslorpc.Client{two, one} {
			report, err := c.Fanout(t.Context(), "note", nil)
			must(t, err)
			must(t, report.Err())
			node2.wantTold(t, "reached all along", 0)
			if c == two {
				node1.wantTold(t, "the other sender", 0)
			}
		}
		node1.wantTold(t, "the sender", 1)
	})
}

// A message for a name was meant for one of the servers with this name. The first one that is
// reached is told.
func TestUndeliveredByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		workers := []*listener{listen(f, "node1"), listen(f, "node1")}
		c := agentsOf(f.Transport()).Prepare(oslorpc.WithServer("node1"), oslorpc.WithRetry(0))
		time.Sleep(time.Second)
		for _, w := range workers {
			w.Partition()
		}
		if c.Cast(t.Context(), "note", nil) == nil {
			t.Fatal("it arrived")
		}
		for _, w := range workers {
			w.Heal()
		}
		for range 10 {
			must(t, c.Prepare(oslorpc.WithRetry(-1)).Cast(t.Context(), "note", nil))
		}
		if n := workers[0].told(t) + workers[1].told(t); n != 1 {
			t.Errorf("they were told %d times", n)
		}
	})
}

// If several senders report while a server still handles a report, the server gets one further
// report.
func TestReasonsThatComeMeanwhileAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		begun, done := make(chan string, 100), make(chan struct{})
		node1 := f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{newAgent("node1").endpoint("1.2")},
			oslorpc.WithMissedMessages(func(_ context.Context, reason string) {
				begun <- reason
				<-done
			}))
		var senders []*oslorpc.Client
		for range 10 {
			senders = append(senders, agentsOf(f.Transport()))
		}
		node1.Partition()
		for _, c := range senders {
			failingFanout(t, c)
		}
		node1.Heal()
		for _, c := range senders {
			must(t, c.Cast(t.Context(), "note", nil))
			synctest.Wait()
		}
		if len(begun) != 1 {
			t.Errorf("told %d times at once", len(begun))
		}
		close(done)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(begun) != 2 {
			t.Errorf("told %d times", len(begun))
		}
	})
}

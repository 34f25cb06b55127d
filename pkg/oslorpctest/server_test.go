package oslorpctest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestStopAndStart(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		serve(f, "node2")
		c := f.Client(agents, oslorpc.WithRetry(0))
		wantWhoami(t, c.Prepare(oslorpc.WithServer("node1")), "node1")

		node1.Hold()
		ended := outstanding(t, f, c.Prepare(oslorpc.WithServer("node1")), "whoami")
		for range 2 { // the second does nothing
			node1.Stop()
		}
		if err := <-ended; err != nil {
			t.Errorf("a call that was accepted before the stop: %v", err)
		}
		for range 4 {
			wantWhoami(t, c, "node2")
		}
		_, err := whoami(t, c.Prepare(oslorpc.WithServer("node1")))
		wantNotDelivered(t, err)

		for range 2 {
			node1.Start()
		}
		wantWhoami(t, c.Prepare(oslorpc.WithServer("node1")), "node1")
		if report, err := c.Fanout(t.Context(), "note", number{}); err != nil || len(report.Accepted) != 2 {
			t.Errorf("fanout: %+v, %v", report, err)
		}
	})
}

func TestKill(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		transport := f.Transport()
		c := transport.Client(agents, oslorpc.WithServer("node1"), oslorpc.WithRetry(0))
		running := outstanding(t, f, c, "hang")
		node1.Hold()
		waiting := outstanding(t, f, c, "whoami")
		begin := time.Now()
		for range 2 { // the second does nothing
			node1.Kill()
		}
		wantKind(t, <-running, oslorpc.OutcomeUnknown)
		wantKind(t, <-waiting, oslorpc.OutcomeUnknown)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the outstanding calls failed after %v", took)
		}
		_, err := whoami(t, c)
		wantNotDelivered(t, err)
		if list, err := transport.Instances(t.Context()); len(list) != 0 || err != nil {
			t.Errorf("listed: %v, %v", list, err)
		}
		node1.Start()
		wantWhoami(t, c, "node1")
	})
}

// Messages that a killed server accepted and did not run do not run, whether the server was held or
// slow.
func TestKilledDoesNotRun(t *testing.T) {
	for name, delay := range map[string]func(*oslorpctest.Server){
		"held": (*oslorpctest.Server).Hold,
		"slow": func(s *oslorpctest.Server) { s.SlowDown(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := oslorpctest.New(t)
				ran := 0
				node1 := f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{{Methods: map[string]oslorpc.Method{
					"run": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
						ran++
						return nil, nil
					}),
				}}})
				delay(node1)
				c := f.Client(oslorpc.Target{Topic: "agents"})
				for range 100 {
					if err := c.Cast(t.Context(), "run", nil); err != nil {
						t.Fatal(err)
					}
				}
				node1.Kill()
				synctest.Wait()
				if ran != 0 {
					t.Errorf("%d ran", ran)
				}
			})
		})
	}
}

func TestHold(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		c := f.Client(agents)
		node1.Hold()
		if err := c.Cast(t.Context(), "note", number{}); err != nil {
			t.Errorf("a held server did not accept: %v", err)
		}
		ended := outstanding(t, f, c, "whoami")
		_, err := whoami(t, c.Prepare(oslorpc.WithTimeout(50*time.Millisecond)))
		wantKind(t, err, oslorpc.Timeout)
		select {
		case err := <-ended:
			t.Errorf("ended while the server was held: %v", err)
		default:
		}
		for range 2 { // the second does nothing
			node1.Release()
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A server that starts held is released like a server that was held later.
func TestWithHold(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1", oslorpc.WithHold())
		ended := outstanding(t, f, f.Client(agents), "whoami")
		node1.Release()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestPartition(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		transport := f.Transport()
		c := transport.Client(agents, oslorpc.WithRetry(0))
		wantWhoami(t, c, "node1")
		node1.Partition()

		// The existing connection becomes silent, and no client can open another.
		_, err := whoami(t, c.Prepare(oslorpc.WithTimeout(50*time.Millisecond)))
		wantKind(t, err, oslorpc.Timeout)
		_, err = whoami(t, f.Client(agents, oslorpc.WithRetry(0)))
		wantKind(t, err, oslorpc.Unreachable)
		if list, err := transport.Instances(t.Context()); len(list) != 1 || err != nil {
			t.Errorf("listed: %v, %v", list, err)
		}
		for range 2 { // the second does nothing
			node1.Heal()
		}
		wantWhoami(t, c, "node1")
		wantWhoami(t, f.Client(agents), "node1")
	})
}

// A call with a separate RPC fails by keepalive if its server is cut off. In faked time this takes
// no time.
func TestKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		c := f.Transport(oslorpc.WithCarrier(rpc.CarrierUnary)).Client(agents, oslorpc.WithTimeout(time.Hour))
		ended := outstanding(t, f, c, "hang")
		begin := time.Now()
		node1.Partition()
		wantKind(t, <-ended, oslorpc.OutcomeUnknown)
		if took := time.Since(begin); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Hour)
		node1.Heal()
		wantWhoami(t, c, "node1")
	})
}

// A call in a session waits if its server is cut off. Its outcome is known when the server is back,
// or the deadline passes.
func TestSessionOutlastsASilence(t *testing.T) {
	for name, test := range map[string]struct {
		silence time.Duration
		want    oslorpc.Kind
	}{
		// The grace period had passed, so the method failed, and the server kept this outcome.
		"back before the deadline": {50 * time.Second, oslorpc.Remote},
		"back too late":            {2 * time.Hour, oslorpc.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := oslorpctest.New(t)
				node1 := serve(f, "node1")
				c := f.Transport(oslorpc.WithCarrier(rpc.CarrierSession)).Client(agents, oslorpc.WithTimeout(time.Hour))
				ended := outstanding(t, f, c, "hang")
				node1.Partition()
				time.Sleep(test.silence)
				node1.Heal()
				wantKind(t, <-ended, test.want)
				wantWhoami(t, c, "node1")
			})
		})
	}
}

// A message after a server was killed or stopped goes to the next process of the server, and not to
// the old one.
func TestRestarts(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		c := f.Client(agents)
		for n := range 20 {
			wantWhoami(t, c, "node1")
			if n%2 == 0 {
				node1.Kill()
			} else {
				node1.Stop()
			}
			node1.Start()
		}
	})
}

// A partitioned server can be stopped and killed, and its next process is reachable.
func TestEndOfPartitioned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		c := f.Client(agents)
		for _, end := range []func(){node1.Stop, node1.Kill} {
			wantWhoami(t, c, "node1")
			node1.Partition()
			end()
			node1.Start()
			wantWhoami(t, c, "node1")
		}
	})
}

func TestSlowDown(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		node1 := serve(f, "node1")
		c := f.Client(agents)
		const pause = 100 * time.Millisecond
		node1.SlowDown(pause)
		begin := time.Now()
		wantWhoami(t, c, "node1")
		if took := time.Since(begin); took < pause {
			t.Errorf("a slow method took %v", took)
		}
		_, err := whoami(t, c.Prepare(oslorpc.WithTimeout(pause/4)))
		wantKind(t, err, oslorpc.Timeout)
		node1.SlowDown(0)
		wantWhoami(t, c, "node1")
	})
}

// In faked time, the default timeout of a call passes immediately.
func TestSlowBeyondTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		serve(f, "node1").SlowDown(time.Hour)
		begin := time.Now()
		_, err := whoami(t, f.Client(agents))
		wantKind(t, err, oslorpc.Timeout)
		if took := time.Since(begin); took != oslorpc.DefaultCallTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

// Methods such as Kill have no effect on a server that does not run.
func TestNotRunning(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		serve(f, "node1").Stop()
		s := f.Server("node1")
		s.Stop()
		s.Kill()
		s.Hold()
		s.Release()
		s.Partition()
		s.Heal()
		s.SlowDown(time.Second)
	})
}

// failing is a test that records how it failed.
type failing struct {
	*testing.T

	failure string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.failure = fmt.Sprintf(format, args...)
	panic(f.failure)
}

func TestFailures(t *testing.T) {
	for want, provoke := range map[string]func(*oslorpctest.Fleet){
		`there is no server "node1"`:    func(f *oslorpctest.Fleet) { f.Server("node1") },
		`start server ""`:               func(f *oslorpctest.Fleet) { f.Serve(agents, nil) },
		"of 1 messages, 0 arrived":      func(f *oslorpctest.Fleet) { f.Await(1) },
		"oslorpctest: open a transport": func(f *oslorpctest.Fleet) { f.Transport(oslorpc.WithLimits(rpc.Limits{MessageSize: -1})) },
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test := &failing{T: t}
				f := oslorpctest.New(test)
				defer func() { _ = recover() }() // Fatalf must end the test
				provoke(f)
				if !strings.Contains(test.failure, want) {
					t.Errorf("failed with %q", test.failure)
				}
			})
		})
	}
}

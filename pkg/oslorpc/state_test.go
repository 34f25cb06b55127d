package oslorpc_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// runRecorder is an endpoint whose method records its number.
type runRecorder struct {
	mu    sync.Mutex
	order []int
}

type number struct {
	N int `json:"n"`
}

func (r *runRecorder) Record(_ context.Context, args number) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order = append(r.order, args.N)
	return args.N, nil
}

func (r *runRecorder) recorded() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

func (r *runRecorder) endpoint() oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(r)}
}

func states(t *testing.T, transport *oslorpc.Transport) []string {
	t.Helper()
	list, err := transport.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, i := range list {
		all = append(all, i.Server+" "+string(i.State))
	}
	return all
}

func wantStates(t *testing.T, transport *oslorpc.Transport, want ...string) {
	t.Helper()
	if got := states(t, transport); !slices.Equal(got, want) {
		t.Errorf("listed are %q, want %q", got, want)
	}
}

// queued returns the number of messages in a server's queue.
func queued(t *testing.T, transport *oslorpc.Transport, s *oslorpc.Server) int64 {
	t.Helper()
	i, _ := s.Instance()
	info, err := transport.Info(t.Context(), i)
	if err != nil || len(info.Servers) != 1 {
		t.Fatalf("info: %v, %v", info, err)
	}
	return info.Servers[0].Queued
}

func startHeld(t *testing.T, transport *oslorpc.Transport, name string, e oslorpc.Endpoint, options ...oslorpc.ServerOption) *oslorpc.Server {
	t.Helper()
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: name}, append(options, oslorpc.WithHold())...)
	s.Add(e)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHeldServer(t *testing.T) {
	transport, r := open(t), &runRecorder{}
	held := startHeld(t, transport, "held", r.endpoint(), oslorpc.WithWorkers(1))
	wantStates(t, transport, "held held")
	active := &runRecorder{}
	serve(t, "active", active.endpoint())
	c := client(t)

	// Messages for any server avoid a held server. Messages by name and fanouts wait in its queue.
	for n := range 5 {
		if _, err := oslorpc.Call[int](t.Context(), c, "record", number{n}); err != nil {
			t.Fatal(err)
		}
	}
	pinned := c.Prepare(oslorpc.WithServer("held"))
	for n := range 5 {
		if err := pinned.Cast(t.Context(), "record", number{n}); err != nil {
			t.Fatal(err)
		}
	}
	report, err := c.Fanout(t.Context(), "record", number{5})
	if err != nil || len(report.Accepted) != 2 {
		t.Errorf("fanout: %+v, %v", report, err)
	}
	_, err = oslorpc.Call[int](t.Context(), pinned.Prepare(oslorpc.WithTimeout(50*time.Millisecond)), "record", number{6})
	if oslorpc.KindOf(err) != oslorpc.Timeout {
		t.Errorf("a call whose deadline passed in the hold: %v", err)
	}
	until(t, "the server knows too that it passed", func() bool { return queued(t, transport, held) == 6 })
	if got := r.recorded(); len(got) != 0 {
		t.Errorf("ran while held: %v", got)
	}
	for range 2 { // the second does nothing
		if err := held.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantStates(t, transport, "active active", "held active")
	if n, err := oslorpc.Call[int](t.Context(), pinned, "record", number{7}); n != 7 || err != nil {
		t.Errorf("call after the release: %v, %v", n, err)
	}
	if got := r.recorded(); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 7}) {
		t.Errorf("ran %v", got)
	}
}

// If a held server stops without having been released, it runs the messages that it accepted.
func TestStopOfAHeldServer(t *testing.T) {
	r := &runRecorder{}
	held := startHeld(t, open(t), "held", r.endpoint(), oslorpc.WithWorkers(1), oslorpc.WithQueue(3, 1<<20))
	c := client(t, oslorpc.WithRetry(0))
	for n := range 3 {
		if err := c.Cast(t.Context(), "record", number{n}); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, c.Cast(t.Context(), "record", number{3}), oslorpc.Refused, true)
	if err := held.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.recorded(); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("ran %v", got)
	}
	wantKind(t, held.Release(t.Context()), oslorpc.Invalid, true)
}

// A server with WithHold is held at each start. With static addresses, the start does not wait
// until others see the server.
func TestHoldAtEachStart(t *testing.T) {
	transport := open(t)
	s := startHeld(t, transport, "node1", newAgent("node1").endpoint("1.0"))
	for range 2 {
		wantStates(t, transport, "node1 held")
		if err := s.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fixed, err := oslorpc.Open("static://other=127.0.0.1:1", oslorpc.WithStopGrace(0))
	if err != nil {
		t.Fatal(err)
	}
	defer fixed.Close()
	startHeld(t, fixed, "node1", newAgent("node1").endpoint("1.0"))
}

// If the context of a held start has ended, the server stops again and the start can be retried.
// Whether the start fails depends on timing.
func TestHeldStartInNoTime(t *testing.T) {
	for _, executor := range []oslorpc.Executor{oslorpc.ExecutorPool, oslorpc.ExecutorBlocking} {
		t.Run(string(executor), func(t *testing.T) {
			transport := open(t)
			serveOn(t, transport, oslorpc.Target{Topic: "other", Server: "node1"}) // there is a listener already
			s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithHold(), oslorpc.WithExecutor(executor))
			s.Add(newAgent("node1").endpoint("1.0"))
			over, cancel := context.WithCancel(t.Context())
			cancel()
			failed := 0
			for range 20 {
				err := s.Run(over)
				if err != nil {
					failed++
				}
				kind := oslorpc.KindOf(err)
				if err != nil && kind != oslorpc.Canceled && kind != oslorpc.Timeout && kind != oslorpc.Unreachable {
					t.Errorf("got %v", err)
				}
			}
			t.Logf("%d of 20 starts failed", failed)
			if err := s.Stop(t.Context()); err != nil { // the last failure may still be stopping
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			until(t, "it is there", func() bool { return slices.Contains(states(t, transport), "node1 held") })
			cancel()
			if err := <-ended; err != nil && oslorpc.KindOf(err) != oslorpc.Canceled {
				t.Error(err)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	transport := open(t)
	s := serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	serve(t, "node2", newAgent("node2").endpoint("1.0"))
	c := client(t)
	whoami := func(c *oslorpc.Client) string {
		name, err := oslorpc.Call[string](t.Context(), c, "whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	for range 2 { // the second does nothing
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantStates(t, transport, "node1 draining", "node2 active")
	for range 6 {
		if name := whoami(c); name != "node2" {
			t.Errorf("a message for any server went to %s", name)
		}
	}
	if report, err := c.Fanout(t.Context(), "note", nil); err != nil || len(report.Accepted) != 1 || len(report.Failed) != 0 {
		t.Errorf("fanout: %+v, %v", report, err)
	}
	if name := whoami(c.Prepare(oslorpc.WithServer("node1"))); name != "node1" {
		t.Errorf("a message by name went to %s", name)
	}
	if err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStates(t, transport, "node1 active", "node2 active")
	until(t, "node1 takes messages for any server again", func() bool { return whoami(c) == "node1" })
}

func TestDrainWhileHeld(t *testing.T) {
	transport := open(t)
	s := startHeld(t, transport, "node1", newAgent("node1").endpoint("1.0"))
	for _, step := range []struct {
		do    func(context.Context) error
		state string
	}{{s.Drain, "draining"}, {s.Release, "draining"}, {s.Resume, "active"}, {s.Drain, "draining"}} {
		if err := step.do(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStates(t, transport, "node1 "+step.state)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(context.Context) error{s.Drain, s.Resume, s.Release} {
		err := do(t.Context())
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, "node1", "start it first")
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStates(t, transport, "node1 held")
}

// Concurrent Release, Drain and Resume, with concurrent stops and starts, neither race nor lose
// messages.
func TestStatesConcurrently(t *testing.T) {
	transport, r := open(t), &runRecorder{}
	s := startHeld(t, transport, "node1", r.endpoint())
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 10 {
				switch (i + n) % 5 {
				case 0:
					_ = s.Drain(context.Background())
				case 1:
					_ = s.Resume(context.Background())
				case 2:
					_ = s.Release(context.Background())
				case 3:
					if err := s.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				default:
					if err := s.Start(context.Background()); err != nil && oslorpc.KindOf(err) != oslorpc.Canceled {
						t.Error(fmt.Errorf("start: %w", err))
					}
				}
			}
		})
	}
	all.Wait()
}

// When the start of a held server returns, a fanout of a client that already knew the topic reaches
// the server. So there is no gap between the state that the server reads then and the messages that
// it receives, although each process looks for changes at different times or pauses after a change.
// The start relies on other processes getting processor time when they need it. On a machine that
// is too busy for that, the test tries again.
func TestHeldServerIsKnownToAll(t *testing.T) {
	for name, newURL := range map[string]func(t *testing.T) string{
		"local":  func(t *testing.T) string { return "local://" + filepath.Join(t.TempDir(), "registry") }, // it must be private
		"consul": func(t *testing.T) string { return consultest.Start(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			var problems []string
			for range 4 {
				if problems = whoMissesHeldServers(t, newURL(t)); len(problems) == 0 {
					return
				}
			}
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
}

// whoMissesHeldServers starts held servers and returns the fanouts that did not reach a server that
// was there.
func whoMissesHeldServers(t *testing.T, url string) (problems []string) {
	t.Helper()
	senders := make([]*oslorpc.Client, 5)
	for i := range senders {
		transport := openAt(t, url)
		senders[i] = transport.Client(oslorpc.Target{Topic: "agents"})
		if report, err := senders[i].Fanout(t.Context(), "record", number{0}); err != nil || len(report.Accepted) != 0 {
			t.Fatalf("with no server there: %+v, %v", report, err)
		}
	}
	for node := range 3 {
		s := openAt(t, url).Server(oslorpc.Target{Topic: "agents", Server: fmt.Sprint("node", node)}, oslorpc.WithHold())
		s.Add((&runRecorder{}).endpoint())
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, c := range senders {
			if report, err := c.Fanout(t.Context(), "record", number{i}); err != nil || len(report.Accepted) != node+1 {
				problems = append(problems, fmt.Sprintf("fanout %d after the start of %d: %+v, %v", i, node, report, err))
			}
		}
	}
	return problems
}

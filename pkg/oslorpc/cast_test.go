package oslorpc_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// until waits until the condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestCastRunsOnce(t *testing.T) {
	a := newAgent("node1")
	serve(t, "node1", a.endpoint("1.0"))
	c := client(t)
	for range 20 {
		if err := c.Cast(t.Context(), "note", nil); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "20 casts ran", func() bool { return a.casts.Load() >= 20 })
	if n := a.casts.Load(); n != 20 {
		t.Errorf("20 casts ran %d times", n)
	}
}

// A cast is answered when it is accepted. Its deadline ends then, and a failure of its method stays
// on the server.
func TestCastReturnsBeforeItRuns(t *testing.T) {
	release, ran := make(chan struct{}), make(chan error)
	serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"slow": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			<-release
			_, has := ctx.Deadline()
			if has || ctx.Err() != nil || oslorpc.ContextFrom(ctx)["user"] != "bob" {
				ran <- fmt.Errorf("a cast ran with deadline %v, error %w, context %v", has, ctx.Err(), oslorpc.ContextFrom(ctx))
			}
			ran <- nil
			return nil, errBroken
		}),
	}})
	ctx, cancel := context.WithTimeout(oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "bob"}), 5*time.Second)
	if err := client(t).Cast(ctx, "slow", nil); err != nil {
		t.Error(err)
	}
	cancel()
	close(release)
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// A cast that no server can run is refused. It is not accepted and then lost.
func TestCastThatNoServerCanRun(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	wantKind(t, client(t).Cast(t.Context(), "nope", nil), oslorpc.NoSuchMethod, true)
	wantKind(t, client(t, oslorpc.WithVersion("1.1")).Cast(t.Context(), "note", nil), oslorpc.UnsupportedVersion, true)
	wantKind(t, client(t, oslorpc.WithServer("node2")).Cast(t.Context(), "note", nil), oslorpc.NoInstance, true)
}

// A server with a full queue refuses messages. The sender tries another server, or waits.
func TestFullServer(t *testing.T) {
	release := make(chan struct{})
	var ran sync.WaitGroup
	block := oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"block": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			defer ran.Done()
			<-release
			return nil, nil
		}),
	}}
	for _, name := range []string{"a", "b"} {
		s := open(t).Server(oslorpc.Target{Topic: "agents", Server: name}, oslorpc.WithWorkers(1), oslorpc.WithQueue(1, 1<<20))
		s.Add(block)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c := client(t, oslorpc.WithRetry(0))
	for n := range 4 { // one running and one waiting at each
		ran.Add(1)
		if err := c.Cast(t.Context(), "block", nil); err != nil {
			t.Fatalf("cast %d: %v", n, err)
		}
	}
	err := c.Cast(t.Context(), "block", nil)
	wantKind(t, err, oslorpc.Refused, true)
	wantText(t, err, "full")
	err = client(t, oslorpc.WithTimeout(100*time.Millisecond)).Cast(t.Context(), "block", nil)
	if kind := oslorpc.KindOf(err); kind != oslorpc.Refused && kind != oslorpc.Timeout { // the deadline may pass during an attempt
		t.Errorf("waiting for a full server: %v", err)
	}

	report, err := c.Fanout(t.Context(), "block", nil)
	if err != nil || len(report.Failed) != 2 {
		t.Errorf("fanout to full servers: %+v, %v", report, err)
	}

	patient := make(chan error)
	ran.Add(1)
	go func() { patient <- client(t).Cast(context.Background(), "block", nil) }()
	close(release)
	if err := <-patient; err != nil {
		t.Errorf("a cast that waited: %v", err)
	}
	ran.Wait()
}

func TestFanoutReachesEachServerOnce(t *testing.T) {
	agents := map[string]agent{}
	for _, name := range []string{"a", "b", "c"} {
		agents[name] = newAgent(name)
		serve(t, name, agents[name].endpoint("1.1"))
	}
	agents["twin"] = newAgent("twin") // another process with the name of the first
	serve(t, "a", agents["twin"].endpoint("1.1"))
	serve(t, "old", newAgent("old").endpoint("1.0"))
	serve(t, "poor", oslorpc.Endpoint{Version: "1.1"})
	stranger := newAgent("stranger")
	serveOn(t, open(t), oslorpc.Target{Exchange: "other", Topic: "agents", Server: "stranger"}, stranger.endpoint("1.1"))

	for name, options := range map[string][]oslorpc.ClientOption{
		"plain":                 nil,
		"a server is no matter": {oslorpc.WithServer("b")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range agents {
				a.casts.Store(0)
			}
			report, err := client(t, append(options, oslorpc.WithVersion("1.1"))...).Fanout(t.Context(), "note", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(report.Accepted); got != "[a a b c]" {
				t.Errorf("accepted: %s", got)
			}
			if got := names(report.Skipped); got != "[old poor]" {
				t.Errorf("skipped: %s", got)
			}
			if len(report.Failed) != 0 || report.Err() != nil {
				t.Errorf("failed: %v", report.Failed)
			}
			wantKind(t, report.Skipped[0].Err, oslorpc.UnsupportedVersion, true)
			wantKind(t, report.Skipped[1].Err, oslorpc.NoSuchMethod, true)
			for name, a := range agents {
				until(t, name+" ran it", func() bool { return a.casts.Load() > 0 })
				if n := a.casts.Load(); n != 1 {
					t.Errorf("%s ran it %d times", name, n)
				}
			}
		})
	}
	if stranger.casts.Load() != 0 {
		t.Error("a fanout reached another exchange")
	}
	if err := client(t, oslorpc.WithFanout(true)).Cast(t.Context(), "note", nil); err != nil {
		t.Errorf("cast with fanout: %v", err)
	}
}

func names(list []oslorpc.FanoutResult) string {
	var all []string
	for _, d := range list {
		all = append(all, d.Instance.Server)
	}
	return fmt.Sprint(all)
}

func TestFanoutToNoServer(t *testing.T) {
	report, err := client(t).Fanout(t.Context(), "note", nil)
	if err != nil || len(report.Accepted)+len(report.Skipped)+len(report.Failed) != 0 {
		t.Errorf("got %+v, %v", report, err)
	}
}

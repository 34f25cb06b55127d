package e2e

import (
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// onEach runs a test on the embedded registry and on Consul.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		test(t, "local://"+filepath.Join(t.TempDir(), "registry"))
	})
	t.Run("consul", func(t *testing.T) {
		t.Parallel()
		test(t, consultest.Start(t).URL())
	})
}

// startThree starts three servers and returns when a client could see them.
func startThree(t *testing.T, url string) (a, b, c *process) {
	t.Helper()
	var started sync.WaitGroup
	for name, p := range map[string]**process{"a": &a, "b": &b, "c": &c} {
		started.Go(func() { *p = start(t, url, name) })
	}
	started.Wait()
	return a, b, c
}

// One of three servers is killed while 16 callers make a thousand calls. Only what was outstanding at it may fail, at once and as
// unknown; nothing runs twice.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		a, b, c := startThree(t, url)
		client, transport := open(t, url)
		const callers = 16
		l := startLoad(t, client, callers, 1000, 5*time.Millisecond)
		l.reach(t, 300)
		b.signal(t, syscall.SIGKILL)
		<-b.exited
		killed := time.Now()
		if url[:5] == "local" {
			until(t, 2*time.Second, "the killed server is not listed", func() bool {
				return !slices.Contains(listed(t, transport), "b")
			})
		}
		results := l.wait()
		if len(results) != 1000 {
			t.Errorf("%d calls ended, not 1000", len(results))
		}
		failed := 0
		for _, r := range results {
			if r.err == nil {
				continue
			}
			failed++
			if kind := oslorpc.KindOf(r.err); kind != oslorpc.OutcomeUnknown || oslorpc.SafeToRetry(r.err) {
				t.Errorf("%s failed with %v", r.id, r.err)
			}
			// The end of a connection takes a moment to arrive; a call that was begun in it was outstanding, too.
			if r.started.After(killed.Add(250 * time.Millisecond)) {
				t.Errorf("%s was begun after the kill and failed: %v", r.id, r.err)
			}
			if late := r.ended.Sub(killed); late > 2*time.Second {
				t.Errorf("%s failed %v after the kill, not at once", r.id, late)
			}
		}
		t.Logf("%d calls were outstanding at the killed server", failed)
		if failed > callers {
			t.Errorf("%d calls failed; at most %d were outstanding", failed, callers)
		}
		checkOnce(t, results, a, b, c)
	})
}

// One of three servers is told to stop under load, and then another. No call fails.
func TestStoppedServer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		a, b, c := startThree(t, url)
		client, transport := open(t, url)
		l := startLoad(t, client, 16, 0, 5*time.Millisecond)
		for _, p := range []*process{a, b} {
			l.reach(t, 300)
			p.signal(t, syscall.SIGTERM)
			<-p.exited
			if p.err != nil {
				t.Errorf("%s: %v", p.name, p.err)
			}
			if slices.Contains(listed(t, transport), p.name) {
				t.Errorf("%s is listed still", p.name)
			}
		}
		l.reach(t, 300)
		results := l.stop()
		for _, r := range results {
			if r.err != nil {
				t.Errorf("%s failed: %v", r.id, r.err)
			}
		}
		checkOnce(t, results, a, b, c)
	})
}

// A server is restarted again and again under its name, while callers send to that name. No call fails.
func TestRestartedServer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		servers := []*process{start(t, url, "a")}
		client, _ := open(t, url)
		l := startLoad(t, client.Prepare(oslorpc.WithServer("a")), 8, 0, time.Millisecond)
		for range 3 {
			l.reach(t, 100)
			old := servers[len(servers)-1]
			old.signal(t, syscall.SIGTERM)
			<-old.exited
			servers = append(servers, start(t, url, "a"))
		}
		l.reach(t, 100)
		for _, r := range l.stop() {
			if r.err != nil {
				t.Errorf("%s failed: %v", r.id, r.err)
			}
		}
		total := map[string]int{}
		for _, p := range servers {
			for id, n := range p.ran(t) {
				total[id] += n
			}
		}
		for id, n := range total {
			if n != 1 {
				t.Errorf("%s ran %d times", id, n)
			}
		}
	})
}

// One of three servers is frozen: its connection stays, but nothing comes. The keepalive finds it, and calls avoid it from
// then on, also when its back-off ends.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	url := "local://" + filepath.Join(t.TempDir(), "registry")
	a, b, c := startThree(t, url)
	client, _ := open(t, url)
	l := startLoad(t, client, 16, 0, time.Millisecond)
	l.reach(t, 300)
	b.signal(t, syscall.SIGSTOP)
	frozen := time.Now()
	t.Cleanup(func() { b.signal(t, syscall.SIGCONT) })

	// Sooner or later every caller hangs at the frozen server, until it is found.
	l.reach(t, 2000)
	found := time.Now()
	l.reach(t, 2000)
	results := l.stop()
	hung := 0
	for _, r := range results {
		switch {
		case r.err == nil:
			if r.server == "b" && r.started.After(frozen.Add(time.Second)) {
				t.Errorf("%s was answered by the frozen server", r.id)
			}
		case oslorpc.KindOf(r.err) != oslorpc.OutcomeUnknown:
			t.Errorf("%s failed with %v", r.id, r.err)
		default:
			hung++
			if took := r.ended.Sub(frozen); took > 30*time.Second {
				t.Errorf("%s failed %v after the freeze; the keepalive takes 20 s", r.id, took)
			}
			if r.started.After(found) {
				t.Errorf("%s was sent to the frozen server after it was found", r.id)
			}
		}
	}
	t.Logf("%d calls were outstanding at the frozen server, which was found after %v", hung, found.Sub(frozen).Round(time.Second))
	if hung == 0 || hung > 16 {
		t.Errorf("%d calls failed, not 1 to 16", hung)
	}
	b.signal(t, syscall.SIGCONT)
	checkOnce(t, results, a, b, c)
}

// Consul is killed for half a minute and comes back without its data. Calls go on without an error, and all servers are
// registered again.
func TestConsulLosesItsData(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	a, b, c := startThree(t, agent.URL())
	client, transport := open(t, agent.URL())
	l := startLoad(t, client, 4, 0, 10*time.Millisecond)
	l.reach(t, 100)
	agent.Kill()
	outage := time.NewTimer(30 * time.Second)
	<-outage.C
	l.reach(t, 100)
	agent.Restart()
	until(t, 20*time.Second, "all servers are registered again", func() bool {
		return slices.Equal(listed(t, transport), []string{"a", "b", "c"})
	})
	l.reach(t, 100)
	results := l.stop()
	for _, r := range results {
		if r.err != nil {
			t.Errorf("%s failed: %v", r.id, r.err)
		}
	}
	checkOnce(t, results, a, b, c)

	// What was not known before the outage is found after it.
	late := start(t, agent.URL(), "late")
	name, err := oslorpc.Call[string](t.Context(), client.Prepare(oslorpc.WithServer("late"), oslorpc.WithTimeout(10*time.Second)),
		"work", job{ID: "late"})
	if err != nil || name != late.name {
		t.Errorf("call of a server that came after the outage: %q, %v", name, err)
	}
}

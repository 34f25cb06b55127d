//go:build unix

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
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

// startAll starts servers with these names and returns when a client can see them.
func startAll(t *testing.T, url string, names ...string) []*process {
	t.Helper()
	servers := make([]*process, len(names))
	var started sync.WaitGroup
	for i, name := range names {
		started.Go(func() { servers[i] = start(t, url, name) })
	}
	started.Wait()
	return servers
}

// startThree is startAll for a, b and c.
func startThree(t *testing.T, url string) (a, b, c *process) {
	t.Helper()
	all := startAll(t, url, "a", "b", "c")
	return all[0], all[1], all[2]
}

// One of three servers is killed while 16 callers make a thousand calls. Only calls that were
// outstanding there may fail, at once and with an unknown outcome. Nothing runs twice.
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
			// It takes a moment until the client notices the end of a connection. A call that began
			// in this moment was outstanding too.
			if r.started.After(killed.Add(250 * time.Millisecond)) {
				t.Errorf("%s began after the kill and failed: %v", r.id, r.err)
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

// One of three servers is stopped under load, and then another one. No call fails.
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
				t.Errorf("%s is still listed", p.name)
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

// A server restarts again and again under its name, while callers send to this name. No call fails.
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
		wantOnce(t, l.stop(), servers)
	})
}

// One of five servers is frozen: its connection stays open, but nothing arrives. Few of 32 callers
// hang, and within three seconds the others are as fast as before. When the server is resumed, it
// gets its share again.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	const callers, window = 32, 2 * time.Second
	for name, begin := range map[string]func(*testing.T, *oslorpc.Client) *load{
		"calls": func(t *testing.T, c *oslorpc.Client) *load {
			t.Helper()
			return startLoad(t, c, callers, 0, 50*time.Millisecond)
		},
		"casts": func(t *testing.T, c *oslorpc.Client) *load { t.Helper(); return startCasts(t, c, callers, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			url := "local://" + filepath.Join(t.TempDir(), "registry")
			servers := startAll(t, url, "a", "b", "c", "d", "e")
			frozen := servers[1]
			client, _ := open(t, url)
			l := begin(t, client)
			l.reach(t, 300)
			before := l.ends(window)
			frozen.freeze(t)
			t.Cleanup(func() { frozen.signal(t, syscall.SIGCONT) })
			froze := time.Now()
			pass(3 * time.Second)
			during := l.ends(window)
			t.Logf("in %v, %d ended before, and %d while one is frozen", window, before, during)
			thaw := time.Now()
			if during*4 < before { // if callers went on to hang, almost none would end
				t.Errorf("in %v, %d ended before, and %d while one is frozen", window, before, during)
			}
			frozen.signal(t, syscall.SIGCONT)
			thawed := len(frozen.ran(t))
			until(t, 10*time.Second, "the thawed server has its share", func() bool { return len(frozen.ran(t)) > thawed+100 })
			results := l.stop()
			hung := 0
			for _, r := range results {
				if r.started.Before(thaw) && r.ended.After(thaw) && r.ended.Sub(r.started) > time.Second {
					hung++
				}
				if r.err != nil {
					t.Errorf("%s failed %v after the freeze: %v", r.id, r.ended.Sub(froze), r.err)
				}
			}
			if hung*10 > callers*3 {
				t.Errorf("%d of %d callers hung", hung, callers)
			}
			checkOnce(t, results, servers...)
		})
	}
}

// Keepalive detects a server that stays frozen. It ends the server's calls that have RPCs of their
// own.
func TestFrozenServerIsGivenUp(t *testing.T) {
	t.Parallel()
	url := "local://" + filepath.Join(t.TempDir(), "registry")
	a, b, c := startThree(t, url)
	client, _ := open(t, url+"?carrier=unary")
	l := startLoad(t, client, 16, 0, time.Millisecond)
	l.reach(t, 300)
	b.freeze(t)
	frozen := time.Now()
	t.Cleanup(func() { b.signal(t, syscall.SIGCONT) })
	pass(25 * time.Second)
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
			if r.started.After(frozen.Add(3 * time.Second)) {
				t.Errorf("%s was sent to the frozen server %v after the freeze", r.id, r.started.Sub(frozen))
			}
		}
	}
	if hung == 0 || hung > 16 {
		t.Errorf("%d calls failed, want 1 to 16", hung)
	}
	b.signal(t, syscall.SIGCONT)
	checkOnce(t, results, a, b, c)
}

// Calls in a session at a frozen server get their results when the server is resumed, even if
// keepalive has closed the connection. No call fails.
func TestFrozenServerAnswersLate(t *testing.T) {
	t.Parallel()
	url := "local://" + filepath.Join(t.TempDir(), "registry")
	a, b, c := startThree(t, url)
	client, _ := open(t, url+"?carrier=session")
	l := startLoad(t, client, 16, 0, time.Millisecond)
	l.reach(t, 300)
	b.freeze(t)
	frozen := time.Now()
	t.Cleanup(func() { b.signal(t, syscall.SIGCONT) })
	pass(25 * time.Second)
	b.signal(t, syscall.SIGCONT)
	thawed := time.Now()
	late, results := 0, l.stop()
	wantOnce(t, results, []*process{a, b, c})
	for _, r := range results {
		if r.started.Before(frozen.Add(3*time.Second)) && r.ended.After(thawed) {
			late++
		}
	}
	t.Logf("%d calls outlasted the freeze", late)
}

// A server whose methods take long, and which sends nothing meanwhile, gets its share of calls.
func TestSlowServerIsNotAvoided(t *testing.T) {
	t.Parallel()
	url := "local://" + filepath.Join(t.TempDir(), "registry")
	startThree(t, url)
	client, _ := open(t, url)
	slow := client.Prepare(oslorpc.WithServer("b"))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for n := range 20 {
		running.Go(func() {
			_, _ = oslorpc.Call[string](ctx, slow, "work", job{ID: fmt.Sprint("slow-", n), Length: 30 * time.Second})
		})
	}
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	for range 3 {
		pass(2 * time.Second)
		turns := map[string]int{}
		for n := range 90 {
			name, err := oslorpc.Call[string](t.Context(), client, "work", job{ID: fmt.Sprint("quick-", n)})
			if err != nil {
				t.Fatal(err)
			}
			turns[name]++
		}
		if turns["b"] < 25 {
			t.Errorf("the slow server ran %d of 90 calls: %v", turns["b"], turns)
		}
	}
}

// Consul is killed for half a minute and comes back without its data. Calls continue without an
// error, and all servers register again.
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

	// A server that was not known before the outage is found after it.
	late := start(t, agent.URL(), "late")
	name, err := oslorpc.Call[string](t.Context(), client.Prepare(oslorpc.WithServer("late"), oslorpc.WithTimeout(10*time.Second)),
		"work", job{ID: "late"})
	if err != nil || name != late.name {
		t.Errorf("call of a server that came after the outage: %q, %v", name, err)
	}
}

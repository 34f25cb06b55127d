//go:build unix

package e2e

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ceilings are the values of the automatic cap, each with the time of the change.
type ceilings struct {
	mu   sync.Mutex
	list []ceiling
}

type ceiling struct {
	version string
	at      time.Time
}

// watchCap records each change of a client's cap until the test ends.
func watchCap(t *testing.T, client *oslorpc.Client) *ceilings {
	t.Helper()
	c := &ceilings{}
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			if reason, err := client.Why(ctx); err == nil {
				c.note(string(reason.State)+" "+reason.Version.String(), time.Now())
			}
			time.Sleep(time.Millisecond)
		}
	})
	t.Cleanup(func() {
		stop()
		watching.Wait()
	})
	return c
}

func (c *ceilings) note(version string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.list); n == 0 || c.list[n-1].version != version {
		c.list = append(c.list, ceiling{version, at})
	}
}

func (c *ceilings) last() ceiling {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return ceiling{}
	}
	return c.list[len(c.list)-1]
}

// Five servers are upgraded one by one and then downgraded, while 32 callers send messages that an
// automatic cap allows. No call fails, and none runs at a version that its server does not
// implement. The cap rises soon after the last old server has left, and not before. It falls as
// soon as an old server is back.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		const old, recent = "1.1", "1.2"
		fleet := map[string]*process{}
		for n := range 5 {
			name := fmt.Sprint("node", n)
			fleet[name] = startVersion(t, url, name, old)
		}
		client, _ := open(t, url)
		client = client.Prepare(oslorpc.WithVersionCap(oslorpc.AutoCap))
		seen := watchCap(t, client)
		until(t, 2*time.Second, "the old servers decide the cap", func() bool { return seen.last().version == "known "+old })
		l := startLoad(t, client, 32, 0, 2*time.Millisecond, recent, old)
		replace := func(name, version string) (left time.Time) {
			l.reach(t, 200)
			left = time.Now()
			fleet[name].signal(t, syscall.SIGTERM)
			<-fleet[name].exited
			if err := fleet[name].err; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return left
		}
		for n := range 5 {
			name := fmt.Sprint("node", n)
			if at := seen.last(); at.version != "known "+old {
				t.Errorf("the cap was %s before %s left, since %v", at.version, name, at.at)
			}
			left := replace(name, recent)
			if n == 4 {
				until(t, 2*time.Second, "the cap has risen", func() bool { return seen.last().version == "known "+recent })
				if rose := seen.last().at; rose.Before(left) {
					t.Errorf("the cap rose %v before the last old server left", left.Sub(rose))
				}
			}
			fleet[name] = startVersion(t, url, name, recent)
		}
		l.reach(t, 200)
		for n := range 5 {
			name := fmt.Sprint("node", n)
			replace(name, old)
			fleet[name] = startVersion(t, url, name, old)
			until(t, 2*time.Second, "the cap has fallen", func() bool { return seen.last().version == "known "+old })
		}
		l.reach(t, 200)
		for _, r := range l.stop() {
			if r.err != nil {
				t.Errorf("%s failed: %v", r.id, r.err)
			}
		}
	})
}

// The only server with a version restarts gracefully again and again beside an older one, while
// callers need this version. No call fails.
func TestRestartOfTheOnlyServerWithAVersion(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		servers := []*process{startVersion(t, url, "old", "1.1"), startVersion(t, url, "new", "1.2")}
		client, _ := open(t, url)
		l := startLoad(t, client.Prepare(oslorpc.WithVersion("1.2")), 8, 0, time.Millisecond)
		for range 3 {
			l.reach(t, 100)
			last := servers[len(servers)-1]
			last.signal(t, syscall.SIGTERM)
			<-last.exited
			servers = append(servers, startVersion(t, url, "new", "1.2"))
		}
		l.reach(t, 100)
		wantOnce(t, l.stop(), servers)
	})
}

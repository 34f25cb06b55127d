package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// crowd receives the updates of many topics.
type crowd struct {
	t *testing.T

	mu       sync.Mutex
	known    []*registry.Update
	failures []error
}

func watchMany(t *testing.T, r *Registry, count int) *crowd {
	t.Helper()
	c := &crowd{t: t, known: make([]*registry.Update, count)}
	for n := range count {
		t.Cleanup(r.Watch(numbered(n), func(u registry.Update) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if u.Err != nil {
				c.failures = append(c.failures, u.Err)
				return
			}
			c.known[n] = &u
		}))
	}
	return c
}

// shareAll makes all topics share a query.
func shareAll(r *Registry) { r.topics.most, r.topics.crowdedAt = 0, time.Now() }

func numbered(n int) registry.Topic {
	return registry.Topic{Exchange: "nova", Name: fmt.Sprintf("topic-%d", n)}
}

// hears waits until all topics are known and together have exactly these instances. That must not
// take longer than most.
func (c *crowd) hears(what string, most time.Duration, want ...rpc.Instance) {
	c.t.Helper()
	start := time.Now()
	eventually(c.t, what, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !slices.ContainsFunc(c.known, func(u *registry.Update) bool {
			return u == nil || slices.ContainsFunc(u.Instances, func(i rpc.Instance) bool { return !slices.ContainsFunc(want, i.Equal) })
		}) && c.count() == len(want)
	})
	within(c.t, start, most, what)
}

func (c *crowd) count() int {
	count := 0
	for _, u := range c.known {
		count += len(u.Instances)
	}
	return count
}

// TestManyTopics watches 400 topics at an agent that allows 200 connections.
func TestManyTopics(t *testing.T) {
	t.Parallel()
	const soon = 4 * time.Second
	agent := consultest.Start(t)
	r, other, mortal := open(t, agent.URL()), open(t, agent.URL()), open(t, agent.URL()+"?ttl=1s")
	c := watchMany(t, r, 400)
	c.hears("all topics", 10*time.Second)

	var list []rpc.Instance
	for n := 0; n < 400; n += 40 {
		i := instance("one")
		i.Topic = numbered(n).Name
		if len(list) > 0 {
			i.BootID = list[0].BootID
		}
		list = append(list, i)
	}
	publish(t, other, list...)
	c.hears("a start", soon, list...)
	for n := range list {
		list[n].State = rpc.StateDraining
	}
	publish(t, other, list...)
	c.hears("a change of state", soon, list...)
	for n := range list {
		list[n].State = rpc.StateActive
	}
	publish(t, other, list...)
	c.hears("another change of state", soon, list...)
	for n := range list {
		must(t, other.client.own.Agent().EnableServiceMaintenance(registrationOf(t, other, list[n]).ID, "testing"))
		list[n].State = rpc.StateDraining
	}
	c.hears("maintenance", soon, list...)
	publish(t, other)
	c.hears("a stop", soon)

	for n := range list {
		list[n].State, list[n].ID = rpc.StateActive, list[n].ID+"-2"
	}
	publish(t, mortal, list...)
	c.hears("a start", soon, list...)
	mortal.publisher.heart.stop()
	c.hears("a death", soon+1500*time.Millisecond)
	mortal.publisher.heart = startHeart(mortal.publisher, mortal.publisher.heart.process)
	mortal.publisher.heart.look()
	c.hears("a return", soon, list...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failures) != 0 {
		t.Errorf("%d errors, such as %v", len(c.failures), c.failures[0])
	}
}

// TestWatchesLeaveHeartbeatsAlone has a server that watches more topics than the agent allows
// connections.
func TestWatchesLeaveHeartbeatsAlone(t *testing.T) {
	for _, limit := range []int{20, 200} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			agent := consultest.Start(t, fmt.Sprintf("limits { http_max_conns_per_client = %d }", limit))
			observer := watchCompute(t, open(t, agent.URL()))
			observer.list()
			r := openUnclosed(t, agent.URL())
			c := watchMany(t, r, 230)
			one := instance("one")
			publish(t, r, one)
			observer.list(one)
			c.hears("all topics", 20*time.Second)
			for range 20 { // beats, of which none may be refused a connection
				check := r.publisher.wanted[0].Check.CheckID
				if is, err := r.client.beat(t.Context(), check, "testing"); code(err) == http.StatusTooManyRequests || err == nil && !is {
					t.Errorf("a sign of life: %t, %v", is, err)
				}
			}
			select {
			case u := <-observer.updates:
				t.Errorf("an update %+v, where nothing happened", u)
			default:
			}
			two := instance("two")
			two.Topic, two.BootID = numbered(229).Name, one.BootID
			publish(t, r, one, two)
			c.hears("a start", 4*time.Second, two)
			must(t, r.Close(context.Background()))
			observer.list()
		})
	}
}

// TestCrowdedHost starts a server while others use all connections that the agent allows.
func TestCrowdedHost(t *testing.T) {
	t.Parallel()
	const limit = 8
	agent := consultest.Start(t, fmt.Sprintf("limits { http_max_conns_per_client = %d }", limit))
	r := open(t, agent.URL())
	var taken []net.Conn
	eventually(t, "all connections are taken", func() bool {
		conn, err := net.Dial("tcp", agent.Addr())
		must(t, err)
		taken = append(taken, conn)
		r.client.close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = r.List(ctx)
		return code(err) == http.StatusTooManyRequests
	})
	err := r.Publish(t.Context(), []rpc.Instance{instance("one")})
	if !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "http_max_conns_per_client") {
		t.Errorf("Publish: %v, want an error of kind %q that names the limit", err, rpc.Unreachable)
	}
	connects := make(chan struct{}, 100)
	own := r.client.transports[0]
	dial := own.DialContext
	own.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		connects <- struct{}{}
		return dial(ctx, network, addr)
	}
	published := make(chan error, 1)
	go func() { published <- r.Publish(t.Context(), []rpc.Instance{instance("one")}) }()
	for range 2 * ownConnections { // more than one attempt takes
		select {
		case <-connects:
		case err := <-published:
			t.Fatalf("Publish gave up at once: %v", err)
		}
	}
	for _, conn := range taken {
		must(t, conn.Close())
	}
	if err := <-published; err != nil {
		t.Errorf("Publish after connections became free: %v", err)
	}
}

// TestCrowdedAgentThatFallsSilent checks that the error is the last answer that the agent gave
// before it fell silent.
func TestCrowdedAgentThatFallsSilent(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "too many connections", http.StatusTooManyRequests)
			return
		}
		<-request.Context().Done()
	}))
	t.Cleanup(agent.Close)
	_, err := open(t, "consul://"+agent.Listener.Addr().String()).List(t.Context())
	if !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "http_max_conns_per_client") || asked.Load() != 2 {
		t.Errorf("after %d requests: %v, want an error of kind %q that names the limit", asked.Load(), err, rpc.Unreachable)
	}
}

package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// place is a server of the fleet in which messages are routed.
type place struct{ exchange, topic, server string }

func (p place) String() string { return p.exchange + "/" + p.topic + "/" + p.server }

// The fleet has a server for each combination. One topic is named like another topic with a server,
// which oslo.messaging confuses. No name is unique, so only exchange, topic and server together
// identify a server.
var (
	routedExchanges = []string{"x1", "x2"}
	routedTopics    = []string{"t", "t.s1"}
	routedServers   = []string{"s1", "s2"}
)

// places returns the servers for all combinations of exchanges, topics and servers.
func places(exchanges, topics, servers []string) []place {
	var all []place
	for _, exchange := range exchanges {
		for _, topic := range topics {
			for _, server := range servers {
				all = append(all, place{exchange, topic, server})
			}
		}
	}
	return all
}

// runs records where each message ran.
type runs struct {
	mu sync.Mutex
	at map[string][]string
}

type noted struct {
	ID string `json:"id"`
}

func (r *runs) endpoint(p place) oslorpc.Endpoint {
	note := oslorpc.Func(func(_ context.Context, n noted) (string, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.at[n.ID] = append(r.at[n.ID], p.String())
		return p.String(), nil
	})
	return oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"note": note}}
}

// delivery is a way to send a message to a target.
type delivery struct {
	name   string
	pinned bool // it names a server
	fanout bool // it is for all servers of the topic
	send   func(ctx context.Context, c *oslorpc.Client, id noted) error
}

var deliveries = []delivery{
	{name: "call", send: routedCall},
	{name: "pinned call", pinned: true, send: routedCall},
	{name: "cast", send: routedCast},
	{name: "pinned cast", pinned: true, send: routedCast},
	{name: "fanout", fanout: true, send: routedFanout},
	{name: "fanout that names a server", pinned: true, fanout: true, send: routedFanout},
}

func routedCall(ctx context.Context, c *oslorpc.Client, id noted) error {
	_, err := oslorpc.Call[string](ctx, c, "note", id)
	return err
}

func routedCast(ctx context.Context, c *oslorpc.Client, id noted) error {
	return c.Cast(ctx, "note", id)
}

func routedFanout(ctx context.Context, c *oslorpc.Client, id noted) error {
	report, err := c.Fanout(ctx, "note", id)
	if err != nil {
		return err
	}
	if len(report.Accepted) != len(routedServers) || len(report.Skipped)+len(report.Failed) != 0 {
		return fmt.Errorf("the report is %+v", report)
	}
	return nil
}

// expect returns the servers that a message may reach. A fanout must reach all of them, and another
// message must reach exactly one.
func (d delivery) expect(to place) []string {
	servers := routedServers
	if d.pinned && !d.fanout {
		servers = []string{to.server}
	}
	var names []string
	for _, p := range places([]string{to.exchange}, []string{to.topic}, servers) {
		names = append(names, p.String())
	}
	return names
}

// repeats is how often a message for any server is sent. It is often enough that each server of the
// topic gets a turn.
const repeats = 6

// Every message runs once where it is meant to and nowhere else, although all names are used
// several times.
func TestRouting(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"memory": func(*testing.T) string { return "memory://routing" },
		"local":  func(t *testing.T) string { return "local://" + filepath.Join(t.TempDir(), "fleet") },
	} {
		t.Run(name, func(t *testing.T) { testRouting(t, url(t)) })
	}
}

func testRouting(t *testing.T, url string) {
	ran := &runs{at: map[string][]string{}}
	transports := startRouted(t, url, ran)
	client := openRouted(t, url)
	ids := map[string][]string{}
	for _, d := range deliveries {
		for _, to := range places(routedExchanges, routedTopics, routedServers) {
			target := oslorpc.Target{Exchange: to.exchange, Topic: to.topic}
			if d.pinned {
				target.Server = to.server
			}
			c := client.Client(target, oslorpc.WithTimeout(10*time.Second))
			for i := range repeats {
				id := noted{fmt.Sprintf("%s %s %d", d.name, to, i)}
				if err := d.send(t.Context(), c, id); err != nil {
					t.Fatalf("%s: %v", id.ID, err)
				}
				key := d.name + " " + to.String()
				ids[key] = append(ids[key], id.ID)
			}
		}
	}
	// A stopped server has run every message that it accepted, so no message is on its way
	// afterwards.
	for _, transport := range transports {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, d := range deliveries {
		for _, to := range places(routedExchanges, routedTopics, routedServers) {
			key := d.name + " " + to.String()
			t.Run(strings.ReplaceAll(key, " ", "-"), func(t *testing.T) { ran.check(t, d, d.expect(to), ids[key]) })
		}
	}
}

// startRouted starts each server on a separate transport, like another process.
func startRouted(t *testing.T, url string, ran *runs) []*oslorpc.Transport {
	t.Helper()
	var transports []*oslorpc.Transport
	for _, p := range places(routedExchanges, routedTopics, routedServers) {
		transport := openRouted(t, url)
		s := transport.Server(oslorpc.Target{Exchange: p.exchange, Topic: p.topic, Server: p.server})
		s.Add(ran.endpoint(p))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		transports = append(transports, transport)
	}
	return transports
}

func openRouted(t *testing.T, url string) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open(url, oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// check fails unless each message ran once on one of the expected servers, or for a fanout once on
// each of them. Every expected server must have run a message.
func (r *runs) check(t *testing.T, d delivery, expected, ids []string) {
	t.Helper()
	reached := map[string]bool{}
	for _, id := range ids {
		at := slices.Sorted(slices.Values(r.at[id]))
		for _, p := range at {
			reached[p] = true
		}
		if d.fanout && !slices.Equal(at, expected) {
			t.Errorf("%q ran at %v, want each of %v", id, at, expected)
		}
		if !d.fanout && (len(at) != 1 || !slices.Contains(expected, at[0])) {
			t.Errorf("%q ran at %v, want one of %v", id, at, expected)
		}
	}
	if len(ids) != repeats || len(reached) != len(expected) {
		t.Errorf("%d messages reached %v, want %d to reach %v", len(ids), reached, repeats, expected)
	}
}

package oslorpc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// zoned is a fleet whose processes are in zones.
type zoned struct {
	*testing.T
	url string
}

// serve starts a server in a process in a zone.
func (z zoned) serve(zone, name string, options ...oslorpc.ServerOption) *oslorpc.Server {
	z.Helper()
	return z.serveAt("1.0", zone, name, options...)
}

func (z zoned) serveAt(version, zone, name string, options ...oslorpc.ServerOption) *oslorpc.Server {
	z.Helper()
	s := z.open(zone).Server(oslorpc.Target{Topic: "agents", Server: name}, options...)
	s.Add(newAgent(name).endpoint(version))
	s.Add(oslorpc.Endpoint{Namespace: "slow", Version: "1.0", Methods: map[string]oslorpc.Method{
		"wait": oslorpc.Func(func(ctx context.Context, _ struct{}) (string, error) {
			<-ctx.Done()
			return name, ctx.Err()
		}),
	}})
	if err := s.Start(z.Context()); err != nil {
		z.Fatal(err)
	}
	return s
}

func (z zoned) open(zone string) *oslorpc.Transport {
	z.Helper()
	t := openOn(z.T, z.url, oslorpc.WithZone(zone))
	z.Cleanup(func() { _ = t.Close() })
	return t
}

// client returns a client in a zone that knows the given number of servers.
func (z zoned) client(zone string, servers int) *oslorpc.Client {
	z.Helper()
	t := z.open(zone)
	z.knows(t, servers)
	return t.Client(oslorpc.Target{Topic: "agents"})
}

func (z zoned) knows(t *oslorpc.Transport, servers int) {
	z.Helper()
	until(z.T, fmt.Sprint(servers, " servers are known"), func() bool {
		report, err := t.Client(oslorpc.Target{Topic: "agents"}).Fanout(z.Context(), "note", nil)
		return err == nil && len(report.Accepted) == servers
	})
}

// answers makes some calls and returns the servers that answer.
func (z zoned) answers(c *oslorpc.Client, options ...oslorpc.ClientOption) string {
	z.Helper()
	var names []string
	for range 12 {
		name, err := oslorpc.Call[string](z.Context(), c.Prepare(options...), "whoami", nil)
		if err != nil {
			z.Fatal(err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

func (z zoned) want(got, want string) {
	z.Helper()
	if got != want {
		z.Errorf("answered by %q, want %q", got, want)
	}
}

func onEachRegistry(t *testing.T, test func(z zoned)) {
	t.Helper()
	for _, scheme := range []string{"memory", "local", "consul"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			url := map[string]string{"memory": "memory://zones-" + scheme, "local": "local://" + t.TempDir() + "/fleet"}[scheme]
			if scheme == "consul" {
				url = consultest.Start(t).URL()
			}
			test(zoned{t, url})
		})
	}
}

// Messages for any server stay in the caller's zone, leave it when its servers stop, and return
// when they are back.
func TestZone(t *testing.T) {
	t.Parallel()
	onEachRegistry(t, func(z zoned) {
		one, two := z.serve("az1", "one"), z.serve("az1", "two")
		z.serve("az2", "three")
		z.serve("", "four")
		here, there, anywhere, none := z.client("az1", 4), z.client("az2", 4), z.client("", 4), z.client("az3", 4)
		z.want(z.answers(here), "one two")
		z.want(z.answers(there), "three")
		z.want(z.answers(anywhere), "four one three two")
		z.want(z.answers(none), "four one three two")
		z.want(z.answers(here, oslorpc.WithServer("three")), "three")
		stop := func(s *oslorpc.Server) {
			if err := s.Stop(z.Context()); err != nil {
				z.Error(err)
			}
		}
		stop(one)
		z.want(z.answers(here), "two")
		stop(two)
		z.want(z.answers(here), "four three")
		z.serve("az1", "one")
		until(z.T, "messages return to the zone", func() bool { return z.answers(here) == "one" })
	})
}

// Messages that no server of the zone can accept go to other zones, without an error.
func TestZoneCannotTakeIt(t *testing.T) {
	t.Parallel()
	z := zoned{t, "memory://" + t.Name()}
	old := z.serveAt("1.0", "az1", "old", oslorpc.WithWorkers(1), oslorpc.WithQueue(1, 1<<20))
	z.serveAt("1.4", "az2", "new")
	c := z.client("az1", 2)
	z.want(z.answers(c), "old")
	z.want(z.answers(c, oslorpc.WithVersion("1.2")), "new") // too old

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := c.Prepare(oslorpc.WithServer("old"), oslorpc.WithNamespace("slow"), oslorpc.WithVersion("1.0"))
	for range 2 { // one runs, and one waits
		go func() { _, _ = oslorpc.Call[string](ctx, slow, "wait", nil) }()
	}
	until(t, "the server is full", func() bool {
		i, _ := old.Instance()
		info, err := z.open("").Info(t.Context(), i)
		return err == nil && len(info.Servers) == 1 && info.Servers[0].Running == 1 && info.Servers[0].Queued == 1
	})
	z.want(z.answers(c), "new")
	cancel()
	until(t, "the server has room again", func() bool { return z.answers(c) == "old" })
}

// If the only server of a zone cannot be reached, messages go to another zone without an error.
func TestZoneIsUnreachable(t *testing.T) {
	t.Parallel()
	transport := openOn(t, "static://agents/gone=127.0.0.1:1;zone=az1,agents/there="+listening(t)+";zone=az2", oslorpc.WithZone("az1"))
	t.Cleanup(func() { _ = transport.Close() })
	z := zoned{t, ""}
	z.want(z.answers(transport.Client(oslorpc.Target{Topic: "agents"})), "there")
}

// listening returns the address of a server named there.
func listening(t *testing.T) string {
	t.Helper()
	transport := openOn(t, "memory://"+t.Name(), oslorpc.WithListen("127.0.0.1:0"))
	t.Cleanup(func() { _ = transport.Close() })
	s := newServer(transport, "there")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	return i.Addr
}

// The URL takes precedence over the program, and the program over the environment.
func TestZoneIsChosen(t *testing.T) {
	for _, test := range []struct{ url, option, variable, want string }{
		{"memory://z", "", "", ""},
		{"memory://z", "", " v\n", "v"},
		{"memory://z", "o", "v", "o"},
		{"memory://z?zone=u&exchange=e", "o", "v", "u"},
		{"memory://z?zone=n%20%C3%A9", "", "", "n é"},
	} {
		t.Setenv(oslorpc.ZoneVariable, test.variable)
		transport := openAt(t, test.url, oslorpc.WithZone(test.option))
		s := newServer(transport, "one")
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		i, _ := s.Instance()
		info, err := transport.Info(t.Context(), i)
		if err != nil || i.Zone != test.want || info.Zone != test.want {
			t.Errorf("%+v: announced is %q, and reported %q (%v)", test, i.Zone, info.Zone, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, zone := range []string{"a\x00b", "\xff", strings.Repeat("z", 256)} {
		_, err := oslorpc.Open("memory://z", oslorpc.WithZone(zone))
		wantKind(t, err, oslorpc.Invalid, true)
		if err == nil || !strings.Contains(err.Error(), "the zone") {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
}

// Why tells where messages for any server go.
func TestWhyZone(t *testing.T) {
	t.Parallel()
	z := zoned{t, "memory://" + t.Name()}
	one := z.serve("az1", "one")
	z.serve("az2", "two")
	c := z.client("az1", 2)
	wantWhy := func(c *oslorpc.Client, want string) {
		t.Helper()
		r, err := c.Why(t.Context())
		if err != nil || !strings.Contains(r.String(), want) {
			t.Errorf("%v, %v\nwant %q", r, err, want)
		}
	}
	wantWhy(c, `no cap: every version of the default namespace may be sent; messages for any server stay in zone "az1", where 1 of 2 servers are`)
	wantWhy(c.Prepare(oslorpc.WithVersionCap(oslorpc.AutoCap)), `"az1"`)
	if err := one.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantWhy(c, `messages for any server leave zone "az1", where no server can serve them, for others (1)`)
	for _, without := range []*oslorpc.Client{c.Prepare(oslorpc.WithServer("two")), c.Prepare(oslorpc.WithFanout(true)), z.client("", 1)} {
		if r, err := without.Why(t.Context()); err != nil || r.Zone != nil {
			t.Errorf("%v, %v: zones do not matter there", r, err)
		}
	}
}

package oslorpctest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMessages(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		serve(f, "node1")
		serve(f, "node2")
		c := f.Client(agents)
		one := c.Prepare(oslorpc.WithServer("node1"))
		ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "alice"})
		if err := one.Cast(ctx, "note", number{1}); err != nil {
			t.Fatal(err)
		}
		wantWhoami(t, one.Prepare(oslorpc.WithVersion("1.1")), "node1")
		for _, err := range oslorpc.Multicall[int](t.Context(), one, "count", number{3}) {
			if err != nil {
				t.Error(err)
			}
		}
		if report, err := c.Fanout(t.Context(), "note", number{2}); err != nil || len(report.Accepted) != 2 {
			t.Errorf("fanout: %+v, %v", report, err)
		}
		_, err := whoami(t, one.Prepare(oslorpc.WithVersion("1.3"), oslorpc.WithRetry(0))) // no server accepts it
		wantKind(t, err, oslorpc.UnsupportedVersion)

		var got []string
		for _, m := range f.Messages(oslorpctest.At("node1")) {
			got = append(got, fmt.Sprintln(m.Topic, m.Server, m.Delivery, m.Method, m.Namespace, m.Version, m.Args, m.Context))
		}
		want := []string{
			`agents node1 cast note  1.2 {"n":1} map[user:alice]` + "\n",
			`agents node1 call whoami  1.1 {} map[]` + "\n",
			`agents node1 multicall count  1.2 {"n":3} map[]` + "\n",
			`agents node1 cast note  1.2 {"n":2} map[]` + "\n",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := len(f.Messages()); n != 5 {
			t.Errorf("%d messages in all", n)
		}
		if n := len(f.Await(3, oslorpctest.For("note"))); n != 3 {
			t.Errorf("%d messages for note", n)
		}
		if n := len(f.Messages(oslorpctest.At("node2"), oslorpctest.For("whoami"))); n != 0 {
			t.Errorf("%d messages for whoami at node2", n)
		}
	})
}

// A server of the code under test is in the fleet like the others.
func TestTransportServes(t *testing.T) {
	both(t, func(t *testing.T) {
		f := oslorpctest.New(t, oslorpc.WithDefaultExchange("neutron"))
		server := f.Transport().Server(oslorpc.Target{Topic: "agents", Server: "mine"})
		server.Add(oslorpc.Endpoint{Version: "1.2", Struct: oslorpc.Methods(agent("mine"))})
		if err := server.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		c := f.Client(agents)
		if c.Target().Exchange != "" {
			t.Errorf("sends to %v", c.Target())
		}
		wantWhoami(t, c, "mine")
		f.Await(1, oslorpctest.At("mine"))
		if i, _ := server.Instance(); i.Exchange != "neutron" {
			t.Errorf("listed as %+v", i)
		}
	})
}

// Fleets do not see each other.
func TestFleetsApart(t *testing.T) {
	both(t, func(t *testing.T) {
		serve(oslorpctest.New(t), "node1")
		_, err := whoami(t, oslorpctest.New(t).Client(agents, oslorpc.WithRetry(0)))
		wantKind(t, err, oslorpc.NoInstance)
	})
}

package intruder

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestImpostors has an attacker that can write to the registry and registers as a server that it is
// not.
func TestImpostors(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "another server", wants: "get payments as an additional server of the topic", do: anotherServer},
		{name: "the same server", wants: "get the messages for an existing server", do: theSameServer},
		{name: "the address of another", wants: "make messages for printers run at a payment server", do: theAddressOfAnother},
		{name: "a server at the address of another", wants: "make clients close the connection to a payment server", do: aServerAtTheAddressOfAnother},
		{name: "an old server", wants: "keep clients at an old version", do: anOldServer},
		{name: "casts to all", wants: "get a copy of a message for all servers", do: castsToAll},
	} {
		t.Run(a.name, a.play)
	}
}

// pose registers the attacker as a server of a topic, at a separate address unless one is given. It
// returns the journal of its messages.
func (f *fleet) pose(t *testing.T, topic, name, address string) *journal {
	t.Helper()
	var options []oslorpc.TransportOption
	if address != "" {
		options = append(options, oslorpc.WithAdvertise(address))
	}
	s := f.open(t, f.stolen, &log{}, options...).Server(oslorpc.Target{Topic: topic, Server: name})
	got := &journal{}
	v := &volumes{server: "attacker", journal: got}
	s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(v.payments())})
	v1.RegisterInventoryServiceServer(s, v)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	await(t, "the registry lists the attacker", func() bool { // without it, nothing is attacked
		return slices.ContainsFunc(f.list(t, topic), func(known oslorpc.Instance) bool { return known.ID == i.ID })
	})
	return got
}

// deliveries are ways to send a payment. Each asks for one answer.
var deliveries = map[string]func(ctx context.Context, c *oslorpc.Client) error{
	"call": func(ctx context.Context, c *oslorpc.Client) error {
		_, err := oslorpc.Call[string](ctx, c, "transfer", nil)
		return err
	},
	"monitored call": func(ctx context.Context, c *oslorpc.Client) error {
		_, err := oslorpc.Call[string](ctx, c.Prepare(oslorpc.WithCallMonitorTimeout(5*time.Second)), "transfer", nil)
		return err
	},
	"cast": func(ctx context.Context, c *oslorpc.Client) error { return c.Cast(ctx, "transfer", nil) },
	"multicall": func(ctx context.Context, c *oslorpc.Client) (err error) {
		for _, err = range oslorpc.Multicall[int](ctx, c, "rates", nil) {
		}
		return err
	},
	"typed call": func(ctx context.Context, c *oslorpc.Client) error {
		_, err := v1.NewInventoryServiceClient(c).CreateVolume(ctx, &v1.CreateVolumeRequest{Name: "a"})
		return err
	},
	"typed cast": func(ctx context.Context, c *oslorpc.Client) error {
		_, err := v1.NewInventoryServiceClient(c).ReportUsage(ctx, &v1.ReportUsageRequest{Name: "a"})
		return err
	},
	"typed stream": func(ctx context.Context, c *oslorpc.Client) error {
		stream, err := v1.NewInventoryServiceClient(c).WatchVolumes(ctx, &v1.WatchVolumesRequest{})
		return drain(stream, err)
	},
}

// wantUntrusted fails unless an error says that a server did not prove its name, and contains both
// names.
func wantUntrusted(t *testing.T, what string, err error, meant, proved string) {
	t.Helper()
	if rpc.KindOf(err) != rpc.Untrusted || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), "must prove "+meant+"; it proved "+proved) {
		t.Errorf("%s: got %s: %v", what, rpc.KindOf(err).Name(), err)
	}
}

func wantNothing(t *testing.T, got *journal) {
	t.Helper()
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.all) > 0 {
		t.Errorf("the attacker got %v", got.all)
	}
}

// anotherServer checks that messages for any server go to the others, and that messages for the
// impostor fail at once.
func anotherServer(t *testing.T, f *fleet) int {
	got := f.pose(t, "payments", "payments-3", "")
	for name, send := range deliveries {
		for range 6 {
			if err := send(t.Context(), f.clerk); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantUntrusted(t, name, send(t.Context(), f.clerk.Prepare(oslorpc.WithServer("payments-3"))), serverName("payments", "payments-3"), agent)
	}
	wantNothing(t, got)
	f.wantWarning(t, serverName("payments", "payments-3"))
	return 0
}

func theSameServer(t *testing.T, f *fleet) int {
	got := f.pose(t, "payments", "payments-1", "")
	for name, send := range deliveries {
		for range 6 {
			if err := send(t.Context(), f.clerk.Prepare(oslorpc.WithServer("payments-1"))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	wantNothing(t, got)
	f.wantWarning(t, serverName("payments", "payments-1"))
	return 0
}

// theAddressOfAnother registers the printer printer-17 at the address of a payment server. The
// clerk sends to the printer.
func theAddressOfAnother(t *testing.T, f *fleet) int {
	before := len(f.journal.of(clerk))
	f.pose(t, "printers", "printer-17", f.instance("payments-1").Addr)
	c := f.clerks.Client(oslorpc.Target{Topic: "printers"}, oslorpc.WithTimeout(patience))
	for name, send := range deliveries {
		wantUntrusted(t, name, send(t.Context(), c), agent, serverName("payments", "payments-1"))
	}
	if n := len(f.journal.of(clerk)); n != before {
		t.Errorf("%d messages for printers ran at a payment server", n-before)
	}
	f.wantWarning(t, agent)
	return 0
}

func aServerAtTheAddressOfAnother(t *testing.T, f *fleet) int {
	f.pose(t, "payments", "payments-3", f.instance("payments-1").Addr)
	for name, send := range deliveries {
		wantUntrusted(t, name, send(t.Context(), f.clerk.Prepare(oslorpc.WithServer("payments-3"))), serverName("payments", "payments-3"),
			serverName("payments", "payments-1"))
		for range 6 {
			if err := send(t.Context(), f.clerk); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	f.wantWarning(t, serverName("payments", "payments-3"))
	return 0
}

// anOldServer checks that the attacker can hold the version cap down only until a client tries to
// send to it. After that, the attacker does not count for any version cap.
func anOldServer(t *testing.T, f *fleet) int {
	c := f.clerks.Client(oslorpc.Target{Topic: "payments", Version: "1.1"}, oslorpc.WithTimeout(patience), oslorpc.WithVersionCap("auto"))
	sends := func() bool {
		can, err := c.CanSendVersion(t.Context())
		return err == nil && can
	}
	if !sends() {
		t.Fatal("the fleet does not serve the version")
	}
	s := f.open(t, f.stolen, &log{}).Server(oslorpc.Target{Topic: "payments", Server: "payments-3"})
	s.Add(oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods((&volumes{server: "attacker", journal: &journal{}}).payments())})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the attacker holds the cap down", func() bool { return !sends() })
	old := f.clerks.Client(oslorpc.Target{Topic: "payments", Version: "1.0"}, oslorpc.WithTimeout(patience))
	await(t, "the cap rises", func() bool {
		if _, err := oslorpc.Call[string](t.Context(), old, "transfer", nil); err != nil {
			t.Error(err)
		}
		return sends()
	})
	if _, err := oslorpc.Call[string](t.Context(), c, "transfer", nil); err != nil || !sends() {
		t.Errorf("the cap fell again: %v", err)
	}
	f.wantWarning(t, serverName("payments", "payments-3"))
	return 0
}

func castsToAll(t *testing.T, f *fleet) int {
	got := f.pose(t, "payments", "payments-3", "")
	report, err := f.clerk.Fanout(t.Context(), "report", nil)
	if err != nil || len(report.Accepted) != 2 || len(report.Failed) != 1 {
		t.Fatalf("got %+v, %v", report, err)
	}
	wantUntrusted(t, "fanout", report.Failed[0].Err, serverName("payments", "payments-3"), agent)
	answers := 0
	for reply, err := range oslorpc.Gather[string](t.Context(), f.clerk, "quote", nil) {
		if reply.Instance.Server == "payments-3" {
			wantUntrusted(t, "gather", err, serverName("payments", "payments-3"), agent)
		} else if err != nil {
			t.Error(err)
		} else {
			answers++
		}
	}
	if answers != 2 {
		t.Errorf("%d servers answered", answers)
	}
	for _, i := range f.list(t, "payments") {
		if i.Server != "payments-3" {
			continue
		}
		_, ping := f.clerks.Ping(t.Context(), i)
		_, info := f.clerks.Info(t.Context(), i)
		wantUntrusted(t, "ping", ping, serverName("payments", "payments-3"), agent)
		wantUntrusted(t, "info", info, serverName("payments", "payments-3"), agent)
	}
	wantNothing(t, got)
	f.wantWarning(t, serverName("payments", "payments-3"))
	return 0
}

// list returns the servers of a topic.
func (f *fleet) list(t *testing.T, topic string) []oslorpc.Instance {
	t.Helper()
	all, err := f.clerks.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(i oslorpc.Instance) bool { return i.Topic != topic })
}

// wantWarning fails unless the clerk's process logged that a server did not prove the expected
// name.
func (f *fleet) wantWarning(t *testing.T, meant string) {
	t.Helper()
	if text := f.clerkLog.String(); !strings.Contains(text, "a server did not prove its name") || !strings.Contains(text, "must prove "+meant) {
		t.Errorf("the clerk's log has no warning about %s:\n%s", meant, text)
	}
}

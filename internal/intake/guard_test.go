package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// gated returns a gate with rules, and its log.
func gated(t *testing.T, dryRun bool, rules ...trust.Rule) (*gate.Gate, *strings.Builder) {
	t.Helper()
	log := &strings.Builder{}
	g, err := gate.New(&trust.Policy{DryRun: dryRun, Rules: rules}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return g, log
}

func everyone(change func(*trust.Rule)) trust.Rule {
	r := trust.Rule{From: []string{"anyone"}}
	change(&r)
	return r
}

// rule returns a rule that allows exactly this message.
func (d delivery) rule() trust.Rule {
	r := trust.Rule{
		From: []string{"anyone"}, Exchange: []string{rpc.DefaultExchange}, Topic: []string{"q"}, Namespace: []string{""},
		Server: []string{"net1"}, Method: []string{d.method}, Delivery: []rpc.Delivery{d.as},
	}
	if d.service != "" {
		r.Namespace = []string{"volumes"}
	}
	return r
}

// TestGateDeniesEveryDelivery checks that a denied message does not run, is not reported, counted
// or remembered, and is not seen by interceptors. Afterwards the same message may be sent again.
func TestGateDeniesEveryDelivery(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w *world
			w = newWorld(t, noting(&w))
			g, log := gated(t, false)
			w.config.Gate = g
			m := d.message()
			unread := &content{err: errors.New("the content cannot be read")}
			m.Missed = new(time.Second)
			if d.service == "" {
				m.Content = unread
			}
			e := check(t, d.send(t.Context(), w.Intake, m), rpc.AccessDenied, true, "the policy of the server denies this")
			if e.Server != "" || e.InstanceID != "" || e.Method != d.method {
				t.Errorf("it is signed %+v", e)
			}
			if list, _ := w.server.Requests(); w.told > 0 || len(w.all) > 0 || len(list) > 0 || m.Implemented() != nil || unread.read > 0 {
				t.Errorf("told %d times, seen as %v, counted as %v, read %d times", w.told, w.all, list, unread.read)
			}
			if !strings.Contains(log.String(), "audit.verdict=denied") || !strings.Contains(log.String(), "audit.delivery="+string(d.as)) {
				t.Errorf("the log has %s", log)
			}
			w.config.Gate, _ = gated(t, false, d.rule())
			if err := d.send(t.Context(), w.Intake, d.message()); err != nil {
				t.Errorf("the same message again: %v", err)
			}
		})
	}
}

func TestGateAllowsWhatARuleSays(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		for _, dryRun := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", dryRun), func(t *testing.T) {
				t.Parallel()
				var w *world
				w = newWorld(t, noting(&w))
				if dryRun {
					w.config.Gate, _ = gated(t, true)
				} else {
					w.config.Gate, _ = gated(t, false, d.rule())
				}
				if err := d.send(t.Context(), w.Intake, d.message()); err != nil {
					t.Fatal(err)
				}
				if err := w.server.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if len(w.all) != 3 {
					t.Errorf("seen as %v", w.all)
				}
				if r := w.Policy(); dryRun != (r.WouldDeny == 1) || !dryRun && r.Rules[0].Allowed != 1 || r.Denied > 0 {
					t.Errorf("the report is %+v", r)
				}
			})
		}
	}
}

// TestDeniedCallersLearnNoNames checks that the answer is the same whether or not topics, servers,
// instances, services and methods exist, and in every phase.
func TestDeniedCallersLearnNoNames(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			// This rule allows something else for each part.
			w.config.Gate, _ = gated(t, false,
				everyone(func(r *trust.Rule) { r.Topic, r.Method = []string{"other"}, []string{"other"} }),
				trust.Rule{From: []string{"user:1"}})
			answer := func(change func(*Message)) *rpc.Error {
				m := d.message()
				change(m)
				e := check(t, d.send(t.Context(), w.Intake, m), rpc.AccessDenied, true)
				e.Target, e.Method = rpc.Target{}, "" // which are the sender's own
				return e
			}
			want := answer(func(*Message) {})
			for _, difference := range []struct {
				what string
				make func(*Message)
			}{
				{"topic", func(m *Message) { m.Target.Topic = "absent" }},
				{"exchange", func(m *Message) { m.Target.Exchange = "absent" }},
				{"server", func(m *Message) { m.Target.Server = "absent" }},
				{"namespace", func(m *Message) { m.Target.Namespace = "absent" }},
				{"method", func(m *Message) { m.Method = "absent" }},
				{"version", func(m *Message) { m.Target.Version = "9.0" }},
				{"instance", func(m *Message) { m.InstanceID = "b1.net1" }},
				{"stopped instance", func(m *Message) { m.InstanceID = "b1.99" }},
				{"instance of another run", func(m *Message) { m.InstanceID = "b2.1" }},
				{"draining server", func(*Message) { w.phase.Drain() }},
				{"stopping server", func(*Message) { w.phase.Refuse() }},
				{"no server", func(*Message) { w.SetServers(nil) }},
			} {
				if got := answer(difference.make); *got != *want {
					t.Errorf("%s: got %+v, want %+v", difference.what, got, want)
				}
			}
			if d.service != "" {
				if got := answer(func(m *Message) { m.Typed.Service = "absent" }); *got != *want {
					t.Errorf("service: got %+v, want %+v", got, want)
				}
			}
		})
	}
}

// TestUnknownServiceIsInNoNamespace checks that a caller that may use the default namespace learns
// nothing about typed services.
func TestUnknownServiceIsInNoNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Gate, _ = gated(t, false, everyone(func(r *trust.Rule) { r.Namespace = []string{"", "*a*"} }))
	d := deliveries()["typed call"]
	for _, service := range []string{inventory, "absent.Service"} {
		m := d.message()
		m.Typed.Service = service
		e := check(t, d.send(t.Context(), w.Intake, m), rpc.AccessDenied, true)
		if e.Target != d.message().Target {
			t.Errorf("%q is denied at %+v", service, e.Target)
		}
	}
	w.config.Gate, _ = gated(t, false, everyone(func(*trust.Rule) {}))
	m := d.message()
	m.Typed.Service = "absent.Service"
	check(t, d.send(t.Context(), w.Intake, m), rpc.NoSuchMethod, true)
}

// TestGateKnowsTheServerThatIsMeant checks that the gate knows the server even if the message does
// not name it.
func TestGateKnowsTheServerThatIsMeant(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		w := newWorld(t)
		var log *strings.Builder
		w.config.Gate, log = gated(t, false, everyone(func(r *trust.Rule) { r.Server = []string{"other"} }))
		m := d.message()
		m.Target.Server, m.InstanceID = "", "b1.net1"
		if d.service != "" {
			m.Target = rpc.Target{}
		}
		check(t, d.send(t.Context(), w.Intake, m), rpc.AccessDenied, true)
		if !strings.Contains(log.String(), "audit.topic=q") || !strings.Contains(log.String(), "audit.server=net1") {
			t.Errorf("%s: the log has %s", name, log)
		}
	}
}

// inspector returns functions that ping a process and request its information.
func inspector(t *testing.T, rules ...trust.Rule) (ping func(id string) error, info func(topic *string) (View, error)) {
	t.Helper()
	in := newIntake(nil, newServer(t, "q", "one", methods{}), newServer(t, "q", "two", methods{}), newServer(t, "p", "three", methods{}))
	in.config.Gate, _ = gated(t, false, rules...)
	in.config.Refusals = func() map[limits.Reason]int64 { return map[limits.Reason]int64{limits.Depth: 1} }
	return func(id string) error {
			return in.Ping(t.Context(), &Inspection{Method: "Ping", InstanceID: id, Origin: nowhere{}})
		}, func(topic *string) (View, error) {
			return in.Inspect(t.Context(), &Inspection{Method: "GetInfo", Topic: topic, Origin: nowhere{}})
		}
}

// TestInspectionShowsWhatThePolicyShows checks that a caller sees the servers that a rule names,
// and no sign of others.
func TestInspectionShowsWhatThePolicyShows(t *testing.T) {
	t.Parallel()
	inspect := []rpc.Delivery{rpc.DeliveryInspect}
	for name, test := range map[string]struct {
		rules []trust.Rule
		// all, q and absent are how many servers are shown for all topics, for topic q and for a
		// topic that does not exist. -1 means that the request is denied.
		all, q, absent int
		whole          bool
		// pings are the answers about server one, server three, an absent server, and the process.
		pings [4]bool
	}{
		"nothing":    {nil, -1, -1, -1, false, [4]bool{}},
		"everything": {[]trust.Rule{everyone(func(*trust.Rule) {})}, 3, 2, 0, true, [4]bool{true, true, true, true}},
		"a topic": {
			[]trust.Rule{everyone(func(r *trust.Rule) { r.Topic = []string{"q"} })}, 2, 2, -1, false, [4]bool{true, false, false, true},
		},
		"a server": {
			[]trust.Rule{everyone(func(r *trust.Rule) { r.Server = []string{"one"} })}, 1, 1, -1, false, [4]bool{true, false, false, true},
		},
		"all but a server": {
			[]trust.Rule{everyone(func(r *trust.Rule) { r.Server = []string{"", "t*"} })}, 2, 1, 0, true, [4]bool{true, true, true, true},
		},
		"only calls": {[]trust.Rule{everyone(func(r *trust.Rule) { r.Delivery = []rpc.Delivery{rpc.DeliveryCall} })}, -1, -1, -1, false, [4]bool{}},
		"only pings": {
			[]trust.Rule{everyone(func(r *trust.Rule) { r.Delivery, r.Method = inspect, []string{"Ping"} })}, -1, -1, -1, false,
			[4]bool{true, true, true, true},
		},
	} {
		ping, info := inspector(t, test.rules...)
		q, absent := "q", "absent"
		for _, asked := range []struct {
			topic *string
			want  int
		}{{nil, test.all}, {&q, test.q}, {&absent, test.absent}} {
			v, err := info(asked.topic)
			if denied := asked.want < 0; denied != errors.Is(err, rpc.AccessDenied) || !denied && len(v.Servers) != asked.want {
				t.Errorf("%s: got %d servers, %v, want %d", name, len(v.Servers), err, asked.want)
			}
			if told := test.all == 3; told != (v.Policy != nil) || told != (v.Refusals[limits.Depth] == 1) {
				t.Errorf("%s: the policy is shown as %+v, and refusals as %v", name, v.Policy, v.Refusals)
			}
			if asked.topic == nil && v.Whole != test.whole {
				t.Errorf("%s: the process itself is shown: %v", name, v.Whole)
			}
		}
		for i, id := range []string{"b1.one", "b1.three", "b1.absent", ""} {
			if err := ping(id); test.pings[i] == errors.Is(err, rpc.AccessDenied) {
				t.Errorf("%s: the ping of %q returns %v", name, id, err)
			}
		}
	}
}

func TestUseAsksForThePlainService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	use := func() error { return w.Use(context.Background(), "grpc.health.v1.Health/Check", nowhere{}, "prober") }
	if err := use(); err != nil {
		t.Errorf("without a policy: %v", err)
	}
	w.config.Gate, _ = gated(t, false, everyone(func(*trust.Rule) {}))
	check(t, use(), rpc.AccessDenied, true, "the policy of the server denies this")
	w.config.Gate, _ = gated(t, false, everyone(func(r *trust.Rule) { r.Services = []string{"grpc.health.v1.Health"} }))
	if err := use(); err != nil {
		t.Error(err)
	}
}

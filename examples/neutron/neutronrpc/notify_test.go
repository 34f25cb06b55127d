package neutronrpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// scheduler returns the same agents for everything.
type scheduler struct {
	hosting, added []neutronrpc.Agent
	segment        []string
	asked          []string
}

func (s *scheduler) DhcpAgentsHosting(_ context.Context, _ string, hosts []string) ([]neutronrpc.Agent, error) {
	s.asked = append(s.asked, fmt.Sprint("hosting ", hosts))
	return slices.Clone(s.hosting), nil
}

func (s *scheduler) ScheduleNetwork(_ context.Context, _ string, hosts []string) ([]neutronrpc.Agent, error) {
	s.asked = append(s.asked, fmt.Sprint("schedule ", hosts))
	return slices.Clone(s.added), nil
}

func (s *scheduler) HostsOfSegment(context.Context, string) ([]string, error) { return s.segment, nil }

func (s *scheduler) ScheduleRouters(_ context.Context, ids []string) error {
	s.asked = append(s.asked, fmt.Sprint("schedule ", ids))
	return nil
}

func (s *scheduler) L3AgentsHosting(_ context.Context, _ string, active bool) ([]neutronrpc.Agent, error) {
	s.asked = append(s.asked, fmt.Sprint("hosting, active ", active))
	return slices.Clone(s.hosting), nil
}

func agent(host string) neutronrpc.Agent {
	return neutronrpc.Agent{Host: host, Topic: "dhcp_agent", AdminStateUp: true, Alive: true}
}

// sent returns the messages that one notification sends to the agents, ordered by host, as "host
// method arguments".
func sent(t *testing.T, f *oslorpctest.Fleet, topic string, send func() error) []string {
	t.Helper()
	before := len(f.Messages())
	if err := send(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range f.Messages()[before:] {
		if m.Topic != topic || m.Namespace != "" || m.Version.String() != "1.0" || m.Delivery != oslorpctest.Cast {
			t.Errorf("the message is %+v", m)
		}
		lines = append(lines, fmt.Sprint(m.Server, " ", m.Method, " ", m.Args))
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:4], b[:4]) })
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// These are the resources of the tests.
var (
	network = neutronrpc.DhcpPayload{Network: &neutronrpc.Network{ID: "n", Name: "blue"}}
	subnet  = neutronrpc.DhcpPayload{Subnet: &neutronrpc.Subnet{ID: "s", NetworkID: "n"}}
	port    = neutronrpc.DhcpPayload{Port: &neutronrpc.Port{
		ID: "p", NetworkID: "n", FixedIPs: []neutronrpc.FixedIP{{SubnetID: "s", IPAddress: "10.0.0.2"}},
	}}
)

const (
	portJSON = `"port":{"id":"p","network_id":"n","fixed_ips":[{"subnet_id":"s","ip_address":"10.0.0.2"}]}`
	ipsJSON  = `"fixed_ips":[{"subnet_id":"s","ip_address":"10.0.0.2"}]`
)

func newDhcpAgents(t *testing.T) *oslorpctest.Fleet {
	return newFleet(t, "dhcp_agent", neutronrpc.DhcpAgent(fakeDhcpAgent{}))
}

// Without a scheduler, every event is a fanout with the event's payload and priority.
func TestDhcpNotifyToAll(t *testing.T) { synctest.Test(t, testDhcpNotifyToAll) }

func testDhcpNotifyToAll(t *testing.T) {
	f := newDhcpAgents(t)
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), nil)
	bare := neutronrpc.DhcpPayload{Port: &neutronrpc.Port{ID: "p", NetworkID: "n"}}
	var messages []message
	for _, c := range []struct {
		data        neutronrpc.DhcpPayload
		event, args string
	}{
		{network, "network.create.end", `{"network":{"id":"n","name":"blue"},"priority":0}`},
		{network, "network.update.end", `{"network":{"id":"n","name":"blue"},"priority":1}`},
		{network, "network.delete.end", `{"network_id":"n","priority":2}`},
		{subnet, "subnet.create.end", `{"subnet":{"id":"s","network_id":"n"},"priority":3}`},
		{subnet, "subnet.update.end", `{"subnet":{"id":"s","network_id":"n"},"priority":3}`},
		{subnet, "subnet.delete.end", `{"subnet_id":"s","network_id":"n","priority":4}`},
		{port, "port.create.end", `{` + portJSON + `,"priority":6}`},
		{port, "port.update.end", `{` + portJSON + `,"priority":6}`},
		{port, "port.delete.end", `{"port_id":"p","network_id":"n",` + ipsJSON + `,"priority":6}`},
		{bare, "port.delete.end", `{"port_id":"p","network_id":"n","fixed_ips":[],"priority":6}`},
	} {
		messages = append(messages, message{
			func(ctx context.Context) error { return n.Notify(ctx, c.data, c.event) }, "dhcp_agent", toEach, oslorpctest.Cast, "1.0",
			strings.ReplaceAll(c.event, ".", "_"), `{"payload":` + c.args + `}`,
		})
	}
	checkWire(t, f, messages)
}

func TestDhcpNotifyDropsTheRest(t *testing.T) {
	f := newDhcpAgents(t)
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), nil)
	both := neutronrpc.DhcpPayload{Network: network.Network, Port: port.Port}
	homeless := neutronrpc.DhcpPayload{Port: &neutronrpc.Port{ID: "p"}}
	nameless := neutronrpc.DhcpPayload{Subnet: &neutronrpc.Subnet{NetworkID: "n"}}
	for _, c := range []struct {
		data  neutronrpc.DhcpPayload
		event string
	}{
		{network, "router.create.end"}, {network, "network.create.start"}, {network, "network_create_end"}, {network, "network.create_end"}, {network, ""},
		{both, "port.create.end"}, {neutronrpc.DhcpPayload{}, "network.create.end"}, {homeless, "port.update.end"},
		{nameless, "subnet.delete.end"},
	} {
		wantLines(t, sent(t, f, "dhcp_agent", func() error { return n.Notify(t.Context(), c.data, c.event) }))
	}
}

func TestDhcpNotifyDirectly(t *testing.T) { synctest.Test(t, testDhcpNotifyDirectly) }

func testDhcpNotifyDirectly(t *testing.T) {
	f := newDhcpAgents(t)
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), nil)
	cast := func(method, args string, send func(context.Context) error) message {
		return message{send, "dhcp_agent", toNet2, oslorpctest.Cast, "1.0", method, `{"payload":` + args + `}`}
	}
	checkWire(t, f, []message{
		cast("network_create_end", `{"network":{"id":"n"},"priority":0}`, func(ctx context.Context) error {
			return n.NetworkAddedToAgent(ctx, "n", "net2")
		}),
		cast("network_delete_end", `{"network_id":"n","priority":2}`, func(ctx context.Context) error {
			return n.NetworkRemovedFromAgent(ctx, "n", "net2")
		}),
		cast("agent_updated", `{"admin_state_up":false}`, func(ctx context.Context) error {
			return n.AgentUpdated(ctx, false, "net2")
		}),
	})
}

func TestDhcpNotifySchedules(t *testing.T) {
	f := newDhcpAgents(t)
	f.Serve(oslorpc.Target{Topic: "dhcp_agent", Server: "net3"}, []oslorpc.Endpoint{neutronrpc.DhcpAgent(fakeDhcpAgent{})})
	s := &scheduler{hosting: []neutronrpc.Agent{agent("net1")}, added: []neutronrpc.Agent{agent("net2")}, segment: []string{"net1", "net2"}}
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), s)
	notify := func(data neutronrpc.DhcpPayload, event string) []string {
		s.asked = nil
		return sent(t, f, "dhcp_agent", func() error { return n.Notify(t.Context(), data, event) })
	}

	wantLines(t, notify(network, "network.create.end"))
	wantLines(t, notify(network, "network.update.end"),
		`net1 network_update_end {"payload":{"network":{"id":"n","name":"blue"},"priority":1}}`)
	wantLines(t, notify(network, "network.delete.end"), // to all agents, since the agents that served it are no longer known
		`net1 network_delete_end {"payload":{"network_id":"n","priority":2}}`,
		`net2 network_delete_end {"payload":{"network_id":"n","priority":2}}`,
		`net3 network_delete_end {"payload":{"network_id":"n","priority":2}}`)
	onSegment := neutronrpc.DhcpPayload{Subnet: &neutronrpc.Subnet{ID: "s", NetworkID: "n", SegmentID: "g"}}
	wantLines(t, notify(onSegment, "subnet.create.end"),
		`net1 subnet_create_end {"payload":{"subnet":{"id":"s","network_id":"n","segment_id":"g"},"priority":3}}`,
		`net2 network_create_end {"payload":{"network":{"id":"n"},"priority":0}}`,
		`net2 subnet_create_end {"payload":{"subnet":{"id":"s","network_id":"n","segment_id":"g"},"priority":3}}`)
	wantLines(t, s.asked, "hosting [net1 net2]", "schedule [net1 net2]")

	reserved := neutronrpc.DhcpPayload{Port: &neutronrpc.Port{ID: "p", NetworkID: "n", DeviceID: neutronrpc.ReservedDhcpPort}}
	wantLines(t, notify(reserved, "port.create.end"),
		`net1 port_create_end {"payload":{"port":{"id":"p","network_id":"n","device_id":"reserved_dhcp_port"},"priority":5}}`)
	wantLines(t, s.asked, "hosting []")
}

// Exactly one of the agents gets a new port with high priority.
func TestDhcpNotifyPriorityOfPorts(t *testing.T) {
	f := newDhcpAgents(t)
	late, off := agent("net2"), agent("net9")
	late.Alive, off.AdminStateUp = false, false
	s := &scheduler{hosting: []neutronrpc.Agent{agent("net1"), late, off}}
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), s)
	for first := map[string]bool{}; len(first) < 2; {
		got := sent(t, f, "dhcp_agent", func() error { return n.Notify(t.Context(), port, "port.create.end") })
		high, low := `port_create_end {"payload":{`+portJSON+`,"priority":5}}`, `port_create_end {"payload":{`+portJSON+`,"priority":6}}`
		if got[0] == "net1 "+high {
			wantLines(t, got[1:], "net2 "+low)
		} else {
			wantLines(t, got, "net1 "+low, "net2 "+high)
		}
		first[got[0]] = true
	}
	s.hosting = nil
	wantLines(t, sent(t, f, "dhcp_agent", func() error { return n.Notify(t.Context(), port, "port.update.end") }))
}

// An agent is notified on the topic that it reported.
func TestDhcpNotifyOnTheTopicOfTheAgent(t *testing.T) {
	const topic = "dhcp_agent_of_a_vendor"
	f := newFleet(t, topic, neutronrpc.DhcpAgent(fakeDhcpAgent{}))
	vendors := agent("net2")
	vendors.Topic = topic
	s := &scheduler{hosting: []neutronrpc.Agent{vendors}}
	n, n2013 := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), s), neutronrpc.NewDhcpAgentNotifyAPI2013(f.Transport(), s)
	wantLines(t, sent(t, f, topic, func() error { return n.Notify(t.Context(), port, "port.create.end") }),
		`net2 port_create_end {"payload":{`+portJSON+`,"priority":5}}`)
	wantLines(t, sent(t, f, topic, func() error { return n2013.Notify(t.Context(), port, "port.update.end") }),
		`net2 port_update_end {"payload":{`+portJSON+`}}`)
}

func TestDhcpSees(t *testing.T) {
	before := *port.Port
	after := before
	after.Status, after.RevisionNumber, after.Host = "ACTIVE", 7, "node1"
	if neutronrpc.DhcpSees(before, after) {
		t.Error("it is told of the status")
	}
	for what, change := range map[string]func(*neutronrpc.Port){
		"an address":       func(p *neutronrpc.Port) { p.FixedIPs = []neutronrpc.FixedIP{{SubnetID: "s", IPAddress: "10.0.0.3"}} },
		"a MAC address":    func(p *neutronrpc.Port) { p.MACAddress = "fa:16:3e:00:00:09" },
		"an option":        func(p *neutronrpc.Port) { p.ExtraDhcpOpts = []neutronrpc.DhcpOpt{{Name: "mtu", Value: "1400"}} },
		"a DNS name":       func(p *neutronrpc.Port) { p.DNSName = "vm" },
		"a DNS domain":     func(p *neutronrpc.Port) { p.DNSDomain = "example.org." },
		"a DNS assignment": func(p *neutronrpc.Port) { p.DNSAssignment = []neutronrpc.DNSName{{Hostname: "vm"}} },
	} {
		changed := after
		change(&changed)
		if !neutronrpc.DhcpSees(before, changed) {
			t.Errorf("it is not told of %s", what)
		}
	}
}

// A missing agent causes a separate error, and the other agents get the message.
func TestDhcpNotifyGoesOn(t *testing.T) {
	f := newDhcpAgents(t)
	s := &scheduler{hosting: []neutronrpc.Agent{agent("gone"), agent("net2")}}
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), s, oslorpc.WithFailFast(true))
	err := n.Notify(t.Context(), port, "port.update.end")
	if !oslorpc.IsNotDelivered(err) || len(f.Messages(oslorpctest.At("net2"))) != 1 {
		t.Errorf("%v; messages: %v", err, f.Messages())
	}
}

// An agent that missed the notification about a network is not notified about resources on it. The
// agent reads everything when it is back.
func TestDhcpNotifyGivesUpOnOneAgent(t *testing.T) {
	f := newDhcpAgents(t)
	s := &scheduler{hosting: []neutronrpc.Agent{agent("net2")}, added: []neutronrpc.Agent{agent("gone")}}
	n := neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), s, oslorpc.WithFailFast(true))
	err := n.Notify(t.Context(), subnet, "subnet.create.end")
	if err == nil || !strings.Contains(err.Error(), "network_create_end") || strings.Contains(err.Error(), "subnet_create_end") {
		t.Error(err)
	}
	if got := f.Messages(); len(got) != 1 || got[0].Server != "net2" {
		t.Errorf("messages: %v", got)
	}
}

func TestDhcpNotify2013(t *testing.T) { synctest.Test(t, testDhcpNotify2013) }

func testDhcpNotify2013(t *testing.T) {
	f := newDhcpAgents(t)
	late := agent("net1")
	late.Alive = false
	s := &scheduler{hosting: []neutronrpc.Agent{late, agent("net2")}, added: []neutronrpc.Agent{agent("net2")}}
	plain, n := neutronrpc.NewDhcpAgentNotifyAPI2013(f.Transport(), nil), neutronrpc.NewDhcpAgentNotifyAPI2013(f.Transport(), s)
	notify := func(n *neutronrpc.DhcpAgentNotifyAPI2013, data neutronrpc.DhcpPayload, event string) []string {
		return sent(t, f, "dhcp_agent", func() error { return n.Notify(t.Context(), data, event) })
	}

	wantLines(t, notify(plain, network, "network.create.end"),
		`net1 network_create_end {"payload":{"network":{"id":"n","name":"blue"}}}`,
		`net2 network_create_end {"payload":{"network":{"id":"n","name":"blue"}}}`)
	wantLines(t, notify(plain, port, "port.delete.end"),
		`net1 port_delete_end {"payload":{"port_id":"p"}}`, `net2 port_delete_end {"payload":{"port_id":"p"}}`)
	wantLines(t, notify(plain, subnet, "subnet.delete.end"),
		`net1 subnet_delete_end {"payload":{"subnet_id":"s"}}`, `net2 subnet_delete_end {"payload":{"subnet_id":"s"}}`)
	wantLines(t, notify(plain, neutronrpc.DhcpPayload{}, "port.delete.end"))
	// There is no notification about a resource without an ID. The key depends on the resource and
	// not on the event.
	for _, nameless := range []neutronrpc.DhcpPayload{
		{Port: &neutronrpc.Port{NetworkID: "n"}}, {Subnet: &neutronrpc.Subnet{NetworkID: "n"}}, {Network: &neutronrpc.Network{}},
	} {
		for _, event := range []string{"port.delete.end", "subnet.delete.end", "network.delete.end"} {
			wantLines(t, notify(plain, nameless, event))
			wantLines(t, notify(n, nameless, event))
		}
	}
	wantLines(t, notify(n, subnet, "port.delete.end"), `net2 port_delete_end {"payload":{"subnet_id":"s"}}`)
	wantLines(t, notify(n, network, "network.create.start"))
	wantLines(t, notify(n, network, "network.delete.end"),
		`net1 network_delete_end {"payload":{"network_id":"n"}}`, `net2 network_delete_end {"payload":{"network_id":"n"}}`)
	wantLines(t, notify(n, subnet, "subnet.update.end"), `net2 subnet_update_end {"payload":{"subnet":{"id":"s","network_id":"n"}}}`)
	wantLines(t, notify(n, port, "port.create.end"),
		`net2 network_create_end {"payload":{"network":{"id":"n"}}}`, `net2 port_create_end {"payload":{`+portJSON+`}}`)

	cast := func(method, args string, send func(context.Context) error) message {
		return message{send, "dhcp_agent", toNet2, oslorpctest.Cast, "1.0", method, `{"payload":` + args + `}`}
	}
	checkWire(t, f, []message{
		cast("network_create_end", `{"network":{"id":"n"}}`, func(ctx context.Context) error { return n.NetworkAddedToAgent(ctx, "n", "net2") }),
		cast("network_delete_end", `{"network_id":"n"}`, func(ctx context.Context) error { return n.NetworkRemovedFromAgent(ctx, "n", "net2") }),
		cast("agent_updated", `{"admin_state_up":true}`, func(ctx context.Context) error { return n.AgentUpdated(ctx, true, "net2") }),
	})
	// A subclass of the API of 2013 does this.
	msg := n.MakeMsg("agent_updated", map[string]any{"payload": map[string]any{"admin_state_up": true}})
	wantLines(t, sent(t, f, "dhcp_agent", func() error {
		return n.Cast(t.Context(), msg, neutronrpc.HostTopic("dhcp_agent", "net2"))
	}), `net2 agent_updated {"payload":{"admin_state_up":true}}`)
}

func TestL3NotifyOnTheWire(t *testing.T) { synctest.Test(t, testL3NotifyOnTheWire) }

func testL3NotifyOnTheWire(t *testing.T) {
	f := newFleet(t, "l3_agent", neutronrpc.L3Agent(fakeL3Agent{}))
	s := &scheduler{hosting: []neutronrpc.Agent{agent("net2")}}
	plain, n := neutronrpc.NewL3AgentNotifyAPI(f.Transport(), nil), neutronrpc.NewL3AgentNotifyAPI(f.Transport(), s)
	l3 := func(to, version, method, args string, send func(context.Context) error) message {
		return message{send, "l3_agent", to, oslorpctest.Cast, version, method, args}
	}
	table := neutronrpc.ArpTable{IPAddress: "10.0.0.2", MACAddress: "fa:16:3e:00:00:01", SubnetID: "s"}
	const arp = `{"payload":{"router_id":"r","arp_table":{"ip_address":"10.0.0.2","mac_address":"fa:16:3e:00:00:01","subnet_id":"s"}}}`
	messages := []message{
		l3(toNet2, "1.0", "agent_updated", `{"payload":{"admin_state_up":true}}`, func(ctx context.Context) error {
			return n.AgentUpdated(ctx, true, "net2")
		}),
		l3(toEach, "1.0", "router_deleted", `{"router_id":"r"}`, func(ctx context.Context) error { return n.RouterDeleted(ctx, "r") }),
		l3(toNet2, "1.1", "routers_updated", `{"routers":["r"]}`, func(ctx context.Context) error {
			return n.RoutersUpdated(ctx, []string{"r"})
		}),
		l3(toEach, "1.0", "routers_updated", `{"routers":["r","q"]}`, func(ctx context.Context) error {
			return plain.RoutersUpdated(ctx, []string{"r", "q"})
		}),
		l3(toNone, "", "routers_updated", `{}`, func(ctx context.Context) error { return n.RoutersUpdated(ctx, nil) }),
		l3(toNet2, "1.0", "routers_updated", `{"routers":["r","q"]}`, func(ctx context.Context) error {
			return n.RoutersUpdatedOnHost(ctx, []string{"r", "q"}, "net2")
		}),
		l3(toNet2, "1.0", "router_removed_from_agent", `{"payload":{"router_id":"r"}}`, func(ctx context.Context) error {
			return n.RouterRemovedFromAgent(ctx, "r", "net2")
		}),
		l3(toNet2, "1.0", "router_added_to_agent", `{"payload":["r"]}`, func(ctx context.Context) error {
			return n.RouterAddedToAgent(ctx, []string{"r"}, "net2")
		}),
		l3(toEach, "1.2", "add_arp_entry", arp, func(ctx context.Context) error { return n.AddArpEntry(ctx, "r", table) }),
		l3(toEach, "1.2", "del_arp_entry", arp, func(ctx context.Context) error { return n.DelArpEntry(ctx, "r", table) }),
		l3(toEach, "1.0", "fipnamespace_delete_on_ext_net", `{"ext_net_id":"x"}`, func(ctx context.Context) error {
			return n.DeleteFipNamespaceForExtNet(ctx, "x")
		}),
	}
	messages[7].delivery = oslorpctest.Call
	checkWire(t, f, messages)
}

// Several routers are notified in separate messages.
func TestL3NotifyOneRouterAtATime(t *testing.T) {
	f := newFleet(t, "l3_agent", neutronrpc.L3Agent(fakeL3Agent{}))
	s := &scheduler{hosting: []neutronrpc.Agent{agent("net2")}}
	n := neutronrpc.NewL3AgentNotifyAPI(f.Transport(), s)
	if err := n.RoutersUpdated(t.Context(), []string{"a", "b", "c"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range f.Messages() {
		got = append(got, string(m.Args))
	}
	wantLines(t, got, `{"routers":["a"]}`, `{"routers":["b"]}`, `{"routers":["c"]}`)
	if s.asked[0] != "schedule [a b c]" {
		t.Errorf("the scheduler was asked %q", s.asked)
	}
}

// failingL3 is an agent that fails a given number of times.
type failingL3 struct {
	fakeL3Agent

	failures *atomic.Int32
}

func (a failingL3) RouterAddedToAgent(context.Context, neutronrpc.RoutersAddedArgs) error {
	if a.failures.Add(-1) >= 0 {
		return errors.New("out of memory")
	}
	return nil
}

func TestRouterAddedToAgentTriesTwice(t *testing.T) {
	for failures, want := range map[int32]int{0: 1, 1: 2, 2: 2} {
		f := oslorpctest.New(t)
		left := &atomic.Int32{}
		left.Store(failures)
		endpoint := neutronrpc.L3Agent(failingL3{failures: left})
		f.Serve(oslorpc.Target{Topic: "l3_agent", Server: "net1"}, []oslorpc.Endpoint{endpoint})
		err := neutronrpc.NewL3AgentNotifyAPI(f.Transport(), nil).RouterAddedToAgent(t.Context(), []string{"r"}, "net1")
		if (err != nil) != (failures == 2) || len(f.Messages()) != want {
			t.Errorf("after %d failures: %v, and %d messages", failures, err, len(f.Messages()))
		}
	}
}

func TestMeteringNotifyOnTheWire(t *testing.T) { synctest.Test(t, testMeteringNotifyOnTheWire) }

func testMeteringNotifyOnTheWire(t *testing.T) {
	f := newFleet(t, "metering_agent", neutronrpc.MeteringAgent(fakeMeteringAgent{}))
	s := &scheduler{hosting: []neutronrpc.Agent{agent("net2")}}
	plain := neutronrpc.NewMeteringAgentNotifyAPI(f.Transport(), nil)
	n := neutronrpc.NewMeteringAgentNotifyAPI(f.Transport(), s)
	routers := []neutronrpc.Router{
		{ID: "r", MeteringLabels: []neutronrpc.MeteringLabel{{ID: "l", Rules: []neutronrpc.MeteringRule{
			{ID: "u", RemoteIPPrefix: "10.0.0.0/8", Direction: "ingress"},
		}}}},
		{ID: "q"},
	}
	const args = `{"routers":[{"id":"r","_metering_labels":[{"id":"l","rules":[` +
		`{"id":"u","remote_ip_prefix":"10.0.0.0/8","direction":"ingress","excluded":false}]}]},{"id":"q"}]}`
	messages := []message{
		{func(ctx context.Context) error { return n.RouterDeleted(ctx, "r") },
			"metering_agent", toEach, oslorpctest.Cast, "1.0", "router_deleted", `{"router_id":"r"}`},
		{func(ctx context.Context) error { return n.RoutersUpdatedOnHost(ctx, routers, "net2") },
			"metering_agent", toNet2, oslorpctest.Cast, "1.0", "routers_updated", args},
	}
	type notify = func(*neutronrpc.MeteringAgentNotifyAPI, context.Context, []neutronrpc.Router) error
	for method, send := range map[string]notify{
		"routers_updated":             (*neutronrpc.MeteringAgentNotifyAPI).RoutersUpdated,
		"update_metering_label_rules": (*neutronrpc.MeteringAgentNotifyAPI).UpdateMeteringLabelRules,
		"add_metering_label_rule":     (*neutronrpc.MeteringAgentNotifyAPI).AddMeteringLabelRule,
		"remove_metering_label_rule":  (*neutronrpc.MeteringAgentNotifyAPI).RemoveMeteringLabelRule,
		"add_metering_label":          (*neutronrpc.MeteringAgentNotifyAPI).AddMeteringLabel,
		"remove_metering_label":       (*neutronrpc.MeteringAgentNotifyAPI).RemoveMeteringLabel,
	} {
		messages = append(messages,
			message{func(ctx context.Context) error { return send(n, ctx, routers) },
				"metering_agent", toNet2, oslorpctest.Cast, "1.0", method, args},
			message{func(ctx context.Context) error { return send(plain, ctx, routers) },
				"metering_agent", toEach, oslorpctest.Cast, "1.0", method, args})
	}
	checkWire(t, f, messages)
	if slices.Contains(s.asked, "hosting, active false") {
		t.Error("agents that are not active count")
	}
}

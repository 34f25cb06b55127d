package neutronrpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// These are the receivers of a message.
const (
	toAny  = "any"
	toEach = "each" // fanout
	toNet2 = "net2"
	toNone = "nobody"
)

// message is the expected message on the wire for one method of a client API.
type message struct {
	send     func(ctx context.Context) error
	topic    string
	to       string
	delivery oslorpctest.Delivery
	version  string
	method   string
	args     string
}

// newFleet returns a fleet with the same endpoints on net1 and net2.
func newFleet(t *testing.T, topic string, endpoints ...oslorpc.Endpoint) *oslorpctest.Fleet {
	t.Helper()
	f := oslorpctest.New(t, neutronrpc.ErrorTypes()...)
	for _, host := range []string{"net1", "net2"} {
		f.Serve(oslorpc.Target{Topic: topic, Server: host}, endpoints)
	}
	return f
}

// checkWire sends each message twice. A message for any server arrives at each server once, and a
// message for a host arrives at this host twice.
func checkWire(t *testing.T, f *oslorpctest.Fleet, messages []message) {
	t.Helper()
	for _, m := range messages {
		before := len(f.Messages())
		for range 2 {
			if err := m.send(t.Context()); err != nil {
				t.Errorf("%s: %v", m.method, err)
			}
			synctest.Wait() // a server that is still being connected takes no turn
		}
		got := f.Messages()[before:]
		servers := []string{}
		for _, g := range got {
			servers = append(servers, g.Server)
			m.check(t, g)
		}
		slices.Sort(servers)
		want := map[string][]string{
			toAny: {"net1", "net2"}, toEach: {"net1", "net1", "net2", "net2"}, toNet2: {"net2", "net2"}, toNone: {},
		}[m.to]
		if !slices.Equal(servers, want) {
			t.Errorf("%s: messages for %s came to %q", m.method, m.to, servers)
		}
	}
}

func (m message) check(t *testing.T, g oslorpctest.Message) {
	t.Helper()
	got := fmt.Sprint(g.Topic, " ", g.Namespace, " ", g.Version, " ", g.Delivery, " ", g.Method)
	want := fmt.Sprint(m.topic, "  ", m.version, " ", m.delivery, " ", m.method) // in the default namespace
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !sameJSON(t, string(g.Args), m.args) {
		t.Errorf("the arguments of %s are %s, want %s", m.method, g.Args, m.args)
	}
	if toServer := strings.HasPrefix(m.topic, "q-") && m.to == toAny; toServer && g.Context["is_admin"] != true {
		t.Errorf("the context of %s is %v", m.method, g.Context)
	}
}

// changing matches the values that differ each time.
var changing = regexp.MustCompile(`("(?:uuid|time)":)"[0-9a-f:T.-]+"`)

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	for text, v := range map[string]*any{a: &x, b: &y} {
		if err := json.Unmarshal([]byte(changing.ReplaceAllString(text, `$1"…"`)), v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return a == b || reflect.DeepEqual(x, y)
}

// only drops the result.
func only[R any](_ R, err error) error { return err }

func TestClientAPIOnTheWire(t *testing.T) { synctest.Test(t, testClientAPIOnTheWire) }

func testClientAPIOnTheWire(t *testing.T) {
	f := newFleet(t, "topic", neutronrpc.ServerAPI(fakeServer{}))
	api := neutronrpc.NewClientAPI(f.Transport(), "topic")
	call := oslorpctest.Call
	checkWire(t, f, []message{
		{func(ctx context.Context) error { return only(api.MyRemoteMethod(ctx, "a", "b")) },
			"topic", toAny, call, "1.0", "my_remote_method", `{"arg1":"a","arg2":"b"}`},
		{func(ctx context.Context) error { return only(api.MyRemoteMethod2(ctx, "a")) },
			"topic", toAny, call, "1.1", "my_remote_method_2", `{"arg1":"a"}`},
		{func(ctx context.Context) error { return only(api.MyRemoteMethod2With(ctx, "a", "b")) },
			"topic", toAny, call, "1.2", "my_remote_method_2", `{"arg1":"a","arg2":"b"}`},
	})
	if got, err := api.MyRemoteMethod2(t.Context(), "a"); got != "a-" || err != nil {
		t.Errorf("without arg2 the server answers %q, %v", got, err)
	}
}

// A server with version 1.1 accepts the messages of 1.2 clients that it understands, and no others.
func TestClientAPIAsksForWhatItNeeds(t *testing.T) {
	f := oslorpctest.New(t)
	old := neutronrpc.ServerAPI(fakeServer{})
	old.Version = "1.1"
	f.Serve(oslorpc.Target{Topic: "topic", Server: "old"}, []oslorpc.Endpoint{old})
	api := neutronrpc.NewClientAPI(f.Transport(), "topic")
	if _, err := api.MyRemoteMethod2(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if _, err := api.MyRemoteMethod2With(t.Context(), "a", "b"); oslorpc.KindOf(err) != oslorpc.UnsupportedVersion {
		t.Errorf("an old server and arg2: %v", err)
	}
}

func TestDhcpPluginAPIOnTheWire(t *testing.T) { synctest.Test(t, testDhcpPluginAPIOnTheWire) }

func testDhcpPluginAPIOnTheWire(t *testing.T) {
	// As on a real server, the endpoints share the topic and the default namespace.
	f := newFleet(t, "q-plugin", neutronrpc.DhcpRPCCallback(fakeDhcp{}), neutronrpc.MetadataRPCCallback(fakeMetadata{}),
		neutronrpc.DVRServerRPCCallback(fakeDVRServer{}), neutronrpc.ResourcesPullRPCCallback(fakeResourcesPull{}))
	api := neutronrpc.NewDhcpPluginAPI(f.Transport(), "net1")
	port := neutronrpc.Port{NetworkID: "n", DeviceID: "d", FixedIPs: []neutronrpc.FixedIP{{SubnetID: "s"}}}
	const portArg = `"port":{"port":{"network_id":"n","device_id":"d","fixed_ips":[{"subnet_id":"s"}]}}`
	q := func(version, method, args string, send func(context.Context) error) message {
		return message{send, "q-plugin", toAny, oslorpctest.Call, version, method, args}
	}
	checkWire(t, f, []message{
		q("1.1", "get_active_networks_info", `{"host":"net1"}`, func(ctx context.Context) error {
			return only(api.GetActiveNetworksInfo(ctx, false))
		}),
		q("1.1", "get_active_networks_info", `{"host":"net1","enable_dhcp_filter":false}`, func(ctx context.Context) error {
			return only(api.GetActiveNetworksInfo(ctx, true))
		}),
		q("1.0", "get_network_info", `{"network_id":"n","host":"net1"}`, func(ctx context.Context) error {
			return only(api.GetNetworkInfo(ctx, "n"))
		}),
		q("1.1", "create_dhcp_port", `{`+portArg+`,"host":"net1"}`, func(ctx context.Context) error {
			return only(api.CreateDhcpPort(ctx, port))
		}),
		q("1.1", "update_dhcp_port", `{"port_id":"p",`+portArg+`,"host":"net1"}`, func(ctx context.Context) error {
			return only(api.UpdateDhcpPort(ctx, "p", port))
		}),
		q("1.0", "release_dhcp_port", `{"network_id":"n","device_id":"d","host":"net1"}`, func(ctx context.Context) error {
			return api.ReleaseDhcpPort(ctx, "n", "d")
		}),
		q("1.8", "get_dhcp_port", `{"port_id":"p"}`, func(ctx context.Context) error { return only(api.GetDhcpPort(ctx, "p")) }),
		q("1.5", "dhcp_ready_on_ports", `{"port_ids":["p","q"]}`, func(ctx context.Context) error {
			return api.DhcpReadyOnPorts(ctx, []string{"p", "q"})
		}),
		q("1.7", "get_networks", `{"filters":{"id":["n"]},"fields":["name"]}`, func(ctx context.Context) error {
			return only(api.GetNetworks(ctx, map[string][]any{"id": {"n"}}, []string{"name"}))
		}),
		q("1.7", "get_networks", `{"filters":{},"fields":[]}`, func(ctx context.Context) error {
			return only(api.GetNetworks(ctx, nil, nil))
		}),
		q("1.0", "get_ports", `{"filters":{"network_id":["n"]}}`, func(ctx context.Context) error {
			return only(api.GetPorts(ctx, map[string][]any{"network_id": {"n"}}))
		}),
	})
}

func TestDVROnTheWire(t *testing.T) { synctest.Test(t, testDVROnTheWire) }

func testDVROnTheWire(t *testing.T) {
	f := newFleet(t, "q-plugin", neutronrpc.DVRServerRPCCallback(fakeDVRServer{}), neutronrpc.MetadataRPCCallback(fakeMetadata{}))
	api := neutronrpc.NewDVRServerRPCAPI(f.Transport(), "net1")
	q := func(method, args string, send func(context.Context) error) message {
		return message{send, "q-plugin", toAny, oslorpctest.Call, "1.0", method, args}
	}
	checkWire(t, f, []message{
		q("get_dvr_mac_address_by_host", `{"host":"net1"}`, func(ctx context.Context) error {
			return only(api.GetDVRMACAddressByHost(ctx))
		}),
		q("get_dvr_mac_address_list", `{}`, func(ctx context.Context) error { return only(api.GetDVRMACAddressList(ctx)) }),
		q("get_ports_on_host_by_subnet", `{"host":"net1","subnet":"s"}`, func(ctx context.Context) error {
			return only(api.GetPortsOnHostBySubnet(ctx, "s"))
		}),
		q("get_subnet_for_dvr", `{"subnet":"s","fixed_ips":[{"subnet_id":"s","ip_address":"10.0.0.1"}]}`, func(ctx context.Context) error {
			return only(api.GetSubnetForDVR(ctx, "s", []neutronrpc.FixedIP{{SubnetID: "s", IPAddress: "10.0.0.1"}}))
		}),
		q("get_ports", `{"filters":{"network_id":["n"]}}`, func(ctx context.Context) error {
			return only(api.GetPorts(ctx, map[string][]any{"network_id": {"n"}}))
		}),
	})

	const topic = "q-agent-notifier-dvr-update"
	agents := newFleet(t, topic, neutronrpc.DVRAgentRPCCallbackMixin(fakeDVRAgent{}))
	notifier := neutronrpc.NewDVRAgentRPCAPIMixin(agents.Transport())
	checkWire(t, agents, []message{{func(ctx context.Context) error {
		return notifier.DVRMACAddressUpdate(ctx, []neutronrpc.DVRMAC{{Host: "net1", MACAddress: "fa:16:3f:00:00:01"}})
	}, topic, toEach, oslorpctest.Cast, "1.0", "dvr_mac_address_update",
		`{"dvr_macs":[{"host":"net1","mac_address":"fa:16:3f:00:00:01"}]}`},
		{func(ctx context.Context) error { return notifier.DVRMACAddressUpdate(ctx, nil) }, topic, toNone, oslorpctest.Cast, "", "", ""}})
}

func TestNetworkUpdateOnTheWire(t *testing.T) { synctest.Test(t, testNetworkUpdateOnTheWire) }

func testNetworkUpdateOnTheWire(t *testing.T) {
	const topic = "q-agent-notifier-network-update"
	f := newFleet(t, topic, neutronrpc.L3Agent(fakeL3Agent{}))
	notifier := neutronrpc.NewNetworkNotifierAPI(f.Transport())
	checkWire(t, f, []message{{func(ctx context.Context) error {
		return notifier.NetworkUpdate(ctx, neutronrpc.Network{ID: "n", MTU: 1400})
	}, topic, toEach, oslorpctest.Cast, "1.4", "network_update", `{"network":{"id":"n","mtu":1400}}`}})
}

func TestL3PluginAPIOnTheWire(t *testing.T) { synctest.Test(t, testL3PluginAPIOnTheWire) }

func testL3PluginAPIOnTheWire(t *testing.T) {
	f := newFleet(t, "q-l3-plugin", neutronrpc.L3RPCCallback(fakeL3{}))
	api := neutronrpc.NewL3PluginAPI(f.Transport(), "net1")
	q := func(version, method, args string, send func(context.Context) error) message {
		return message{send, "q-l3-plugin", toAny, oslorpctest.Call, version, method, args}
	}
	const host = `{"host":"net1"}`
	messages := []message{
		q("1.0", "sync_routers", `{"host":"net1","router_ids":null}`, func(ctx context.Context) error {
			return only(api.GetRouters(ctx, nil))
		}),
		q("1.0", "sync_routers", `{"host":"net1","router_ids":["r"]}`, func(ctx context.Context) error {
			return only(api.GetRouters(ctx, []string{"r"}))
		}),
		q("1.9", "get_router_ids", host, func(ctx context.Context) error { return only(api.GetRouterIDs(ctx)) }),
		q("1.10", "update_all_ha_network_port_statuses", host, api.UpdateAllHANetworkPortStatuses),
		q("1.11", "get_host_ha_router_count", host, func(ctx context.Context) error { return only(api.GetHostHARouterCount(ctx)) }),
		q("1.1", "update_floatingip_statuses", `{"router_id":"r","fip_statuses":{"f":"ACTIVE"}}`, func(ctx context.Context) error {
			return api.UpdateFloatingIPStatuses(ctx, "r", map[string]string{"f": "ACTIVE"})
		}),
		q("1.2", "get_ports_by_subnet", `{"host":"net1","subnet_id":"s"}`, func(ctx context.Context) error {
			return only(api.GetPortsBySubnet(ctx, "s"))
		}),
		q("1.2", "get_agent_gateway_port", `{"network_id":"n","host":"net1"}`, func(ctx context.Context) error {
			return only(api.GetAgentGatewayPort(ctx, "n"))
		}),
		q("1.7", "delete_agent_gateway_port", `{"network_id":"n","host":"net1"}`, func(ctx context.Context) error {
			return api.DeleteAgentGatewayPort(ctx, "n")
		}),
		q("1.3", "get_service_plugin_list", `{}`, func(ctx context.Context) error { return only(api.GetServicePluginList(ctx)) }),
		q("1.12", "get_networks", `{"filters":{"id":["n"]},"fields":["name"]}`, func(ctx context.Context) error {
			return only(api.GetNetworks(ctx, map[string][]any{"id": {"n"}}, []string{"name"}))
		}),
		q("1.5", "update_ha_routers_states", `{"host":"net1","states":{"r":"active"}}`, func(ctx context.Context) error {
			return api.UpdateHARoutersStates(ctx, map[string]string{"r": "active"})
		}),
	}
	messages[len(messages)-1].delivery = oslorpctest.Cast
	checkWire(t, f, messages)
}

func TestMeteringPluginOnTheWire(t *testing.T) { synctest.Test(t, testMeteringPluginOnTheWire) }

func testMeteringPluginOnTheWire(t *testing.T) {
	f := newFleet(t, "q-metering-plugin", neutronrpc.MeteringRPCCallbacks(fakeMetering{}))
	api := neutronrpc.NewMeteringPluginRPC(f.Transport(), "net1")
	checkWire(t, f, []message{{func(ctx context.Context) error {
		if _, ok := api.GetSyncDataMetering(ctx); !ok {
			return fmt.Errorf("the server did not answer")
		}
		return nil
	}, "q-metering-plugin", toAny, oslorpctest.Call, "1.0", "get_sync_data_metering", `{"host":"net1"}`}})

	nobody := neutronrpc.NewMeteringPluginRPC(oslorpctest.New(t).Transport(), "net1", oslorpc.WithFailFast(true))
	if _, ok := nobody.GetSyncDataMetering(t.Context()); ok {
		t.Error("without a server there are routers")
	}
}

func TestReportsOnTheWire(t *testing.T) { synctest.Test(t, testReportsOnTheWire) }

func testReportsOnTheWire(t *testing.T) {
	f := newFleet(t, "q-reports-plugin", neutronrpc.AgentExtRPCCallback(fakeReports{}))
	api := neutronrpc.NewPluginReportStateAPI(f.Transport(), neutronrpc.DefaultReportInterval)
	state := neutronrpc.AgentState{
		AgentType: "DHCP agent", Binary: "neutron-dhcp-agent", Host: "net1", Topic: "dhcp_agent",
		Configurations: map[string]any{"networks": 2}, StartFlag: true,
	}
	const reported = `{"agent_state":{"agent_state":{"agent_type":"DHCP agent","binary":"neutron-dhcp-agent","host":"net1",` +
		`"topic":"dhcp_agent","configurations":{"networks":2},"start_flag":true,"uuid":"0"}},"time":"0"}`
	q := func(delivery oslorpctest.Delivery, version, method, args string, send func(context.Context) error) message {
		return message{send, "q-reports-plugin", toAny, delivery, version, method, args}
	}
	call := oslorpctest.Call
	checkWire(t, f, []message{
		q(call, "1.4", "has_alive_neutron_server", `{}`, api.HasAliveNeutronServer),
		q(call, "1.4", "report_state", reported, func(ctx context.Context) error { return only(api.ReportState(ctx, state)) }),
		q(oslorpctest.Cast, "1.4", "report_state", reported, func(ctx context.Context) error { return api.CastState(ctx, state) }),
		q(call, "1.4", "get_agents", `{"filters":{"host":["net1"]}}`, func(ctx context.Context) error {
			return only(api.GetAgents(ctx, map[string][]any{"host": {"net1"}}))
		}),
		q(call, "1.4", "delete_agent", `{"host":"net1","agent_type":"DHCP agent"}`, func(ctx context.Context) error {
			return api.DeleteAgent(ctx, "net1", "DHCP agent")
		}),
	})
}

func TestResourcesOnTheWire(t *testing.T) { synctest.Test(t, testResourcesOnTheWire) }

func testResourcesOnTheWire(t *testing.T) {
	f := newFleet(t, "q-plugin", neutronrpc.ResourcesPullRPCCallback(fakeResourcesPull{}))
	api := neutronrpc.NewResourcesPullRPCAPI(f.Transport())
	checkWire(t, f, []message{
		{func(ctx context.Context) error { return only(api.Pull(ctx, neutronrpc.NetworkType, "n")) },
			"q-plugin", toAny, oslorpctest.Call, "1.1", "pull", `{"resource_type":"Network","version":"1.1","resource_id":"n"}`},
		{func(ctx context.Context) error {
			return only(api.BulkPull(ctx, neutronrpc.NetworkType, map[string]any{"name": "blue"}))
		}, "q-plugin", toAny, oslorpctest.Call, "1.1", "bulk_pull",
			`{"resource_type":"Network","version":"1.1","filter_kwargs":{"name":"blue"}}`},
		{func(ctx context.Context) error { return only(api.BulkPull(ctx, neutronrpc.NetworkType, nil)) },
			"q-plugin", toAny, oslorpctest.Call, "1.1", "bulk_pull", `{"resource_type":"Network","version":"1.1","filter_kwargs":{}}`},
	})
}

// Where Neutron accepts **kwargs, unknown arguments of a later peer are ignored. Where Neutron has
// a default, an argument may be absent.
func TestServersTakeWhatNeutronTakes(t *testing.T) {
	f := oslorpctest.New(t, neutronrpc.ErrorTypes()...)
	for topic, endpoints := range map[string][]oslorpc.Endpoint{
		"q-plugin": {
			neutronrpc.DhcpRPCCallback(fakeDhcp{}), neutronrpc.DVRServerRPCCallback(fakeDVRServer{}),
			neutronrpc.ResourcesPullRPCCallback(fakeResourcesPull{}),
		},
		"q-l3-plugin":                 {neutronrpc.L3RPCCallback(fakeL3{})},
		"q-metering-plugin":           {neutronrpc.MeteringRPCCallbacks(fakeMetering{})},
		"q-reports-plugin":            {neutronrpc.AgentExtRPCCallback(fakeReports{})},
		"q-agent-notifier-dvr-update": {neutronrpc.DVRAgentRPCCallbackMixin(fakeDVRAgent{})},
		"neutron-vo-Network-1.1":      {neutronrpc.ResourcesPushRPCCallback(fakeResourcesPush{})},
	} {
		f.Serve(oslorpc.Target{Topic: topic, Server: "ctl1"}, endpoints)
	}
	for _, c := range []struct{ topic, version, method, args string }{
		{"q-plugin", "1.1", "get_active_networks_info", `{"host":"net1","later":1}`},
		{"q-plugin", "1.0", "get_network_info", `{"network_id":"n","host":"net1","later":1}`},
		{"q-plugin", "1.1", "create_dhcp_port", `{"port":{"port":{"network_id":"n"}},"host":"net1","later":1}`},
		{"q-plugin", "1.1", "update_dhcp_port", `{"port_id":"p","port":{"port":{"network_id":"n"}},"host":"net1","later":1}`},
		{"q-plugin", "1.0", "release_dhcp_port", `{"network_id":"n","device_id":"d","host":"net1","later":1}`},
		{"q-plugin", "1.8", "get_dhcp_port", `{"port_id":"p","later":1}`},
		{"q-plugin", "1.7", "get_networks", `{}`},
		{"q-plugin", "1.0", "get_dvr_mac_address_by_host", `{"host":"net1","later":1}`},
		{"q-plugin", "1.0", "get_ports_on_host_by_subnet", `{"host":"net1","subnet":"s","later":1}`},
		{"q-plugin", "1.0", "get_subnet_for_dvr", `{"subnet":"s","later":1}`},
		{"q-plugin", "1.1", "bulk_pull", `{"resource_type":"Network","version":"1.1"}`},
		{"q-l3-plugin", "1.0", "sync_routers", `{"host":"net1","router_ids":null,"later":1}`},
		{"q-l3-plugin", "1.2", "get_ports_by_subnet", `{"host":"net1","subnet_id":"s","later":1}`},
		{"q-l3-plugin", "1.2", "get_agent_gateway_port", `{"network_id":"n","host":"net1","later":1}`},
		{"q-l3-plugin", "1.7", "delete_agent_gateway_port", `{"network_id":"n","host":"net1","later":1}`},
		{"q-l3-plugin", "1.5", "update_ha_routers_states", `{"host":"net1","states":{},"later":1}`},
		{"q-l3-plugin", "1.12", "get_networks", `{}`},
		{"q-metering-plugin", "1.0", "get_sync_data_metering", `{"host":"net1","later":1}`},
		{"q-reports-plugin", "1.2", "report_state", `{"agent_state":{"agent_state":{"agent_type":"DHCP agent","binary":"neutron-dhcp-agent",` +
			`"host":"net1","topic":"dhcp_agent","configurations":{},"uuid":"u","later":1}},"time":"0","later":1}`},
		{"q-agent-notifier-dvr-update", "1.0", "dvr_mac_address_update", `{"dvr_macs":[],"later":1}`},
		{"neutron-vo-Network-1.1", "1.1", "push", `{"resource_list":[],"event_type":"updated","later":1}`},
	} {
		peer := f.Client(oslorpc.Target{Topic: c.topic, Version: c.version})
		if _, err := oslorpc.Call[any](t.Context(), peer, c.method, oslorpc.Raw(c.args)); err != nil {
			t.Errorf("%s(%s): %v", c.method, c.args, err)
		}
	}
}

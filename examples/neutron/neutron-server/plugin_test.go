package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newAPI returns the API of a server that has reports of agents. The agents themselves do not
// exist.
func newAPI(t *testing.T, agents ...neutronrpc.AgentState) api {
	t.Helper()
	p := newPlugin(options{agentsPerNetwork: 3, agentDownTime: time.Minute})
	p.notifiers = newNotifiers(oslorpctest.New(t).Transport(), p, time.Second)
	for _, state := range agents {
		args := neutronrpc.ReportArgs{AgentState: neutronrpc.ReportedState{AgentState: state}}
		if _, err := p.ReportState(t.Context(), args); err != nil {
			t.Fatal(err)
		}
	}
	return api{p}
}

// A network that is deleted while agents are being notified about it stays deleted.
func TestNetworkIsDeletedBeforeItHasASubnet(t *testing.T) {
	a := newAPI(t)
	a.plugin.putNetwork(neutronrpc.Network{ID: "n"})
	if err := a.DeleteNetwork(t.Context(), idArgs{"n"}); err != nil {
		t.Fatal(err)
	}
	if n, err := a.plugin.addSubnet(neutronrpc.Subnet{NetworkID: "n"}); err == nil {
		t.Errorf("a network that was deleted is %+v", n)
	}
	if left, err := a.ListNetworks(t.Context()); len(left) > 0 || err != nil {
		t.Errorf("after that there is %+v, %v", left, err)
	}
}

// A disabled agent gets no network until it is enabled again, even if it asks because of an earlier
// notification.
func TestDisabledAgentGetsNoNetwork(t *testing.T) {
	a := newAPI(t, neutronrpc.AgentState{AgentType: dhcpAgents, Host: "net1", Topic: neutronrpc.DhcpAgentTopic})
	n, err := a.CreateNetwork(t.Context(), networkArgs{Name: "blue"})
	if err != nil {
		t.Fatal(err)
	}
	for _, up := range []bool{true, false, true} {
		if err := a.SetAgent(t.Context(), setAgentArgs{"net1", dhcpAgents, up}); err != nil {
			t.Fatal(err)
		}
		got, err := a.plugin.GetNetworkInfo(t.Context(), neutronrpc.NetworkArgs{NetworkID: n.ID, Host: "net1"})
		if (got != nil) != up || err != nil {
			t.Errorf("with admin_state_up %v the agent gets %+v, %v", up, got, err)
		}
	}
}

// A deleted network is scheduled to no agent, and neither is a deleted router.
func TestNoAgentServesWhatWasDeleted(t *testing.T) {
	a := newAPI(t, neutronrpc.AgentState{AgentType: dhcpAgents, Host: "net1"}, neutronrpc.AgentState{AgentType: l3Agents, Host: "net1"})
	if agents, err := a.plugin.ScheduleNetwork(t.Context(), "gone", nil); len(agents) > 0 || err != nil {
		t.Errorf("a network that is gone is given to %+v, %v", agents, err)
	}
	if err := a.plugin.ScheduleRouters(t.Context(), []string{"gone"}); err != nil {
		t.Error(err)
	}
	if n := len(a.plugin.dhcpHosts) + len(a.plugin.l3Hosts); n > 0 {
		t.Errorf("hosts serve %d things that are gone", n)
	}
}

// An empty answer is an empty list, so that a Python program can iterate over it.
func TestEmptyLists(t *testing.T) {
	p := newAPI(t).plugin
	if ports, err := p.GetPorts(t.Context(), neutronrpc.FilterArgs{}); ports == nil || err != nil {
		t.Errorf("get_ports: %v, %v", ports, err)
	}
	if macs, err := p.GetDVRMACAddressList(t.Context()); macs == nil || err != nil {
		t.Errorf("get_dvr_mac_address_list: %v, %v", macs, err)
	}
}

// An agent that does not answer in time may have added the router. It is notified that the router
// is removed.
func TestRouterThatWasNotScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, neutronrpc.AgentState{AgentType: l3Agents, Host: "net1"})
		f := oslorpctest.New(t)
		a.plugin.notifiers = newNotifiers(f.Transport(), a.plugin, time.Second)
		slow := oslorpc.Func(func(ctx context.Context, _ oslorpc.Raw) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		f.Serve(oslorpc.Target{Topic: neutronrpc.L3AgentTopic, Server: "net1"}, []oslorpc.Endpoint{{Version: "1.3", Fallback: slow}})
		a.plugin.putRouter(neutronrpc.Router{ID: "r"})
		if err := a.AddRouterToAgent(t.Context(), routerAgentArgs{"r", "net1"}); err == nil {
			t.Error("the router is scheduled to an agent that did not answer")
		}
		f.Await(1, oslorpctest.For("router_removed_from_agent"))
	})
}

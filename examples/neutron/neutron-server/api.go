package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// apiTopic is where operators send to, such as by `oslorpc call neutron create_network name=blue`. It stands for Neutron's REST API.
const apiTopic = "neutron"

func apiEndpoint(p *plugin) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Methods: oslorpc.Methods(api{p})}
}

// api has the methods for operators. Each makes a change and tells the agents.
type api struct{ plugin *plugin }

type (
	networkArgs struct {
		Name string              `json:"name"`
		CIDR oslorpc.Opt[string] `json:"cidr"`
	}
	nameArgs struct {
		Name string `json:"name"`
	}
	idArgs struct {
		ID string `json:"id"`
	}
	portArgs struct {
		NetworkID string `json:"network_id"`
	}
	routerAgentArgs struct {
		RouterID string `json:"router_id"`
		Host     string `json:"host"`
	}
	labelArgs struct {
		RouterID       string `json:"router_id"`
		RemoteIPPrefix string `json:"remote_ip_prefix"`
	}
	setAgentArgs struct {
		Host         string `json:"host"`
		AgentType    string `json:"agent_type"`
		AdminStateUp bool   `json:"admin_state_up"`
	}
)

// defaultCIDR is the subnet of networks that are created without one.
const defaultCIDR = "10.0.0.0/24"

// CreateNetwork creates a network with a subnet. DHCP agents serve it as soon as there is the subnet.
func (a api) CreateNetwork(ctx context.Context, args networkArgs) (neutronrpc.Network, error) {
	prefix, err := netip.ParsePrefix(args.CIDR.Or(defaultCIDR))
	if err != nil {
		return neutronrpc.Network{}, err
	}
	n := neutronrpc.Network{ID: neutronrpc.NewID(), Name: args.Name, AdminStateUp: up, MTU: 1500, RevisionNumber: 1}
	s := neutronrpc.Subnet{
		ID: neutronrpc.NewID(), NetworkID: n.ID, EnableDhcp: up,
		CIDR: prefix.Masked().String(), GatewayIP: prefix.Masked().Addr().Next().String(),
	}
	a.store(n)
	told(ctx, "network", a.plugin.notifiers.dhcp.Notify(ctx, neutronrpc.DhcpPayload{Network: &n}, "network.create.end"))
	a.plugin.networkChanged(ctx, n, neutronrpc.ObjectCreated)

	n.Subnets = []neutronrpc.Subnet{s}
	n.RevisionNumber++
	a.store(n)
	told(ctx, "subnet", a.plugin.notifiers.dhcp.Notify(ctx, neutronrpc.DhcpPayload{Subnet: &s}, "subnet.create.end"))
	a.plugin.networkChanged(ctx, n, neutronrpc.ObjectUpdated)
	return n, nil
}

func (a api) store(n neutronrpc.Network) {
	a.plugin.mu.Lock()
	defer a.plugin.mu.Unlock()
	a.plugin.networks[n.ID] = &n
}

// ListNetworks lists the networks.
func (a api) ListNetworks(ctx context.Context) ([]neutronrpc.Network, error) {
	return a.plugin.GetNetworks(ctx, neutronrpc.ListArgs{})
}

// DeleteNetwork deletes a network and its ports.
func (a api) DeleteNetwork(ctx context.Context, args idArgs) error {
	p := a.plugin
	p.mu.Lock()
	n := p.networks[args.ID]
	if n == nil {
		p.mu.Unlock()
		return &neutronrpc.NetworkNotFound{NetworkID: args.ID}
	}
	for _, port := range p.withPorts(n).Ports {
		delete(p.ports, port.ID)
	}
	delete(p.networks, args.ID)
	delete(p.dhcpHosts, args.ID)
	p.mu.Unlock()
	told(ctx, "network", p.notifiers.dhcp.Notify(ctx, neutronrpc.DhcpPayload{Network: n}, "network.delete.end"))
	p.networkChanged(ctx, *n, neutronrpc.ObjectDeleted)
	return nil
}

// CreatePort creates a port. It is active as soon as a DHCP agent serves it.
func (a api) CreatePort(ctx context.Context, args portArgs) (*neutronrpc.Port, error) {
	a.plugin.mu.Lock()
	port, err := a.plugin.newPort(neutronrpc.Port{NetworkID: args.NetworkID})
	a.plugin.mu.Unlock()
	if err != nil {
		return nil, err
	}
	told(ctx, "port", a.plugin.notifiers.dhcp.Notify(ctx, neutronrpc.DhcpPayload{Port: port}, "port.create.end"))
	return port, nil
}

// DeletePort deletes a port.
func (a api) DeletePort(ctx context.Context, args idArgs) error {
	a.plugin.mu.Lock()
	port := a.plugin.ports[args.ID]
	delete(a.plugin.ports, args.ID)
	a.plugin.mu.Unlock()
	if port == nil {
		return &neutronrpc.PortNotFound{PortID: args.ID}
	}
	told(ctx, "port", a.plugin.notifiers.dhcp.Notify(ctx, neutronrpc.DhcpPayload{Port: port}, "port.delete.end"))
	return nil
}

// CreateRouter creates a router. An L3 agent serves it, if there is one.
func (a api) CreateRouter(ctx context.Context, args nameArgs) (neutronrpc.Router, error) {
	r := neutronrpc.Router{ID: neutronrpc.NewID(), Name: args.Name, AdminStateUp: up, RevisionNumber: 1}
	a.plugin.mu.Lock()
	a.plugin.routers[r.ID] = &r
	a.plugin.mu.Unlock()
	told(ctx, "router", a.plugin.notifiers.l3.RoutersUpdated(ctx, []string{r.ID}, false))
	return r, nil
}

// AddRouterToAgent has the L3 agent of a host serve a router, in place of whoever served it. If that agent does not hear of it, nobody
// serves it.
func (a api) AddRouterToAgent(ctx context.Context, args routerAgentArgs) error {
	p := a.plugin
	p.mu.Lock()
	if p.routers[args.RouterID] == nil {
		p.mu.Unlock()
		return fmt.Errorf("there is no router %q", args.RouterID)
	}
	before := p.l3Hosts[args.RouterID]
	p.l3Hosts[args.RouterID] = []string{args.Host}
	p.mu.Unlock()
	for _, host := range before {
		if host != args.Host {
			told(ctx, "router", p.notifiers.l3.RouterRemovedFromAgent(ctx, args.RouterID, host))
		}
	}
	if err := p.notifiers.l3.RouterAddedToAgent(ctx, []string{args.RouterID}, args.Host); err != nil {
		p.mu.Lock()
		delete(p.l3Hosts, args.RouterID)
		p.mu.Unlock()
		return fmt.Errorf("the router was not scheduled to %s: %w", args.Host, err)
	}
	return nil
}

// DeleteRouter deletes a router.
func (a api) DeleteRouter(ctx context.Context, args idArgs) error {
	a.plugin.mu.Lock()
	delete(a.plugin.routers, args.ID)
	delete(a.plugin.l3Hosts, args.ID)
	a.plugin.mu.Unlock()
	told(ctx, "router", errors.Join(
		a.plugin.notifiers.l3.RouterDeleted(ctx, args.ID), a.plugin.notifiers.metering.RouterDeleted(ctx, args.ID)))
	return nil
}

// CreateMeteringLabel has the traffic of a router counted.
func (a api) CreateMeteringLabel(ctx context.Context, args labelArgs) (neutronrpc.MeteringLabel, error) {
	label := neutronrpc.MeteringLabel{ID: neutronrpc.NewID(), Rules: []neutronrpc.MeteringRule{
		{ID: neutronrpc.NewID(), RemoteIPPrefix: args.RemoteIPPrefix, Direction: "ingress"},
	}}
	a.plugin.mu.Lock()
	r := a.plugin.routers[args.RouterID]
	if r == nil {
		a.plugin.mu.Unlock()
		return label, fmt.Errorf("there is no router %q", args.RouterID)
	}
	changed := *r
	changed.RevisionNumber++
	changed.MeteringLabels = append(slices.Clone(r.MeteringLabels), label)
	a.plugin.routers[r.ID] = &changed
	a.plugin.mu.Unlock()
	told(ctx, "label", a.plugin.notifiers.metering.AddMeteringLabel(ctx, []neutronrpc.Router{changed}))
	return label, nil
}

// SetAgent enables or disables an agent.
func (a api) SetAgent(ctx context.Context, args setAgentArgs) error {
	a.plugin.mu.Lock()
	known := a.plugin.agents[agentKey{args.Host, args.AgentType}]
	if known != nil {
		known.AdminStateUp = args.AdminStateUp
	}
	a.plugin.mu.Unlock()
	switch {
	case known == nil:
		return fmt.Errorf("there is no %s on %s", cmp.Or(args.AgentType, "agent"), args.Host)
	case args.AgentType == dhcpAgents:
		told(ctx, "its state", a.plugin.notifiers.dhcp.AgentUpdated(ctx, args.AdminStateUp, args.Host))
	case args.AgentType == l3Agents:
		told(ctx, "its state", a.plugin.notifiers.l3.AgentUpdated(ctx, args.AdminStateUp, args.Host))
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// ScheduleRouters assigns routers without an agent to the first live L3 agent.
func (p *plugin) ScheduleRouters(_ context.Context, routerIDs []string) error {
	alive := p.agentsWhere(func(a neutronrpc.Agent) bool { return a.AgentType == l3Agents && a.Alive && a.AdminStateUp })
	if len(alive) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range routerIDs {
		if p.routers[id] != nil && len(p.l3Hosts[id]) == 0 {
			p.l3Hosts[id] = []string{alive[0].Host}
		}
	}
	return nil
}

// L3AgentsHosting returns the enabled L3 agents that serve a router.
func (p *plugin) L3AgentsHosting(_ context.Context, routerID string, active bool) ([]neutronrpc.Agent, error) {
	serving := p.hostsOf(p.l3Hosts, routerID)
	return p.agentsWhere(func(a neutronrpc.Agent) bool {
		return a.AgentType == l3Agents && a.AdminStateUp && slices.Contains(serving, a.Host) && (a.Alive || !active)
	}), nil
}

// SyncRouters returns the routers that a host serves, or only the given ones of these.
func (p *plugin) SyncRouters(_ context.Context, args neutronrpc.SyncRoutersArgs) ([]neutronrpc.Router, error) {
	return p.routersOn(args.Host, func(id string) bool { return args.RouterIDs == nil || slices.Contains(*args.RouterIDs, id) }), nil
}

// GetSyncDataMetering returns the routers that a host serves, with their labels.
func (p *plugin) GetSyncDataMetering(_ context.Context, args neutronrpc.HostArgs) ([]neutronrpc.Router, error) {
	return p.routersOn(args.Host, func(string) bool { return true }), nil
}

// GetRouterIDs returns the ids of the routers that a host serves. Routers without an agent are
// assigned to it.
func (p *plugin) GetRouterIDs(_ context.Context, args neutronrpc.HostArgs) ([]string, error) {
	p.mu.Lock()
	for id := range p.routers {
		if len(p.l3Hosts[id]) == 0 && p.enabled(args.Host, l3Agents) {
			p.l3Hosts[id] = []string{args.Host}
		}
	}
	p.mu.Unlock()
	ids := []string{}
	for _, r := range p.routersOn(args.Host, func(string) bool { return true }) {
		ids = append(ids, r.ID)
	}
	return ids, nil
}

// routersOn returns the routers that the L3 agent of a host serves and for which pass returns true.
// A disabled agent serves none.
func (p *plugin) routersOn(host string, pass func(id string) bool) []neutronrpc.Router {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := []neutronrpc.Router{}
	for _, id := range slices.Sorted(maps.Keys(p.routers)) {
		if slices.Contains(p.l3Hosts[id], host) && p.enabled(host, l3Agents) && pass(id) {
			found = append(found, *p.routers[id])
		}
	}
	return found
}

// GetPortsBySubnet returns the ports of a subnet.
func (p *plugin) GetPortsBySubnet(_ context.Context, args neutronrpc.SubnetArgs) ([]neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.portsWhere(inSubnet(args.SubnetID)), nil
}

func inSubnet(id string) func(*neutronrpc.Port) bool {
	return func(port *neutronrpc.Port) bool {
		return slices.ContainsFunc(port.FixedIPs, func(ip neutronrpc.FixedIP) bool { return ip.SubnetID == id })
	}
}

// gatewayOwner is the owner of the ports through which floating IPs of distributed routers are
// reached.
const gatewayOwner = "network:floatingip_agent_gateway"

// GetAgentGatewayPort returns the gateway port of a host, and creates it if necessary.
func (p *plugin) GetAgentGatewayPort(_ context.Context, args neutronrpc.GatewayArgs) (*neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if there := p.portsWhere(isGateway(args)); len(there) > 0 {
		return &there[0], nil
	}
	return p.newPort(neutronrpc.Port{NetworkID: args.NetworkID, Host: args.Host, DeviceOwner: gatewayOwner})
}

// DeleteAgentGatewayPort deletes the gateway port of a host.
func (p *plugin) DeleteAgentGatewayPort(_ context.Context, args neutronrpc.GatewayArgs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range p.portsWhere(isGateway(args)) {
		delete(p.ports, port.ID)
	}
	return nil
}

func isGateway(args neutronrpc.GatewayArgs) func(*neutronrpc.Port) bool {
	return func(port *neutronrpc.Port) bool {
		return port.DeviceOwner == gatewayOwner && port.NetworkID == args.NetworkID && port.Host == args.Host
	}
}

// GetServicePluginList returns the names of the service plugins.
func (*plugin) GetServicePluginList(context.Context) ([]string, error) {
	return []string{"router", "metering"}, nil
}

// There are neither HA routers nor floating IPs here, so the reports of agents about these have no
// effect.

// UpdateAllHANetworkPortStatuses does nothing.
func (*plugin) UpdateAllHANetworkPortStatuses(context.Context, neutronrpc.HostArgs) error { return nil }

// GetHostHARouterCount returns 0.
func (*plugin) GetHostHARouterCount(context.Context, neutronrpc.HostArgs) (int, error) { return 0, nil }

// UpdateFloatingIPStatuses does nothing.
func (*plugin) UpdateFloatingIPStatuses(context.Context, neutronrpc.FloatingIPStatusesArgs) error {
	return nil
}

// UpdateHARoutersStates does nothing.
func (*plugin) UpdateHARoutersStates(context.Context, neutronrpc.HAStatesArgs) error { return nil }

// GetDVRMACAddressByHost returns the MAC address of a host. If the address is new, all agents are
// notified.
func (p *plugin) GetDVRMACAddressByHost(ctx context.Context, args neutronrpc.HostArgs) (*neutronrpc.DVRMAC, error) {
	p.mu.Lock()
	for _, mac := range p.macs {
		if mac.Host == args.Host {
			p.mu.Unlock()
			return &mac, nil
		}
	}
	mac := neutronrpc.DVRMAC{Host: args.Host, MACAddress: fmt.Sprintf("fa:16:3f:00:%02x:%02x", len(p.macs)>>8, len(p.macs)&0xff)}
	p.macs = append(p.macs, mac)
	all := slices.Clone(p.macs)
	p.mu.Unlock()
	tell(ctx, "the addresses of hosts", func(ctx context.Context) error { return p.notifiers.dvr.DVRMACAddressUpdate(ctx, all) })
	return &mac, nil
}

// GetDVRMACAddressList returns the MAC addresses of all hosts.
func (p *plugin) GetDVRMACAddressList(context.Context) ([]neutronrpc.DVRMAC, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]neutronrpc.DVRMAC{}, p.macs...), nil // a list, also if there are none
}

// GetPortsOnHostBySubnet returns the ports of a subnet that are on a host.
func (p *plugin) GetPortsOnHostBySubnet(_ context.Context, args neutronrpc.PortsOnHostArgs) ([]neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := inSubnet(args.Subnet)
	return p.portsWhere(func(port *neutronrpc.Port) bool { return of(port) && port.Host == args.Host }), nil
}

// GetSubnetForDVR returns a subnet, or nil if it was deleted.
func (p *plugin) GetSubnetForDVR(_ context.Context, args neutronrpc.SubnetForDVRArgs) (*neutronrpc.Subnet, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.networks {
		for _, s := range n.Subnets {
			if s.ID == args.Subnet {
				return &s, nil
			}
		}
	}
	return nil, nil
}

package main

import (
	"context"
	"errors"
	"slices"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// GetActiveNetworksInfo returns the networks that a host serves. Networks that too few hosts serve
// are assigned to it. It ignores enable_dhcp_filter, because all subnets have DHCP in this example.
func (p *plugin) GetActiveNetworksInfo(_ context.Context, args neutronrpc.ActiveNetworksArgs) ([]neutronrpc.Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := []neutronrpc.Network{}
	if !p.enabled(args.Host, dhcpAgents) {
		return found, nil
	}
	for _, n := range p.sortedNetworks() {
		hosts := p.dhcpHosts[n.ID]
		if len(n.Subnets) > 0 && len(hosts) < p.agentsPerNetwork && !slices.Contains(hosts, args.Host) {
			hosts = append(hosts, args.Host)
			p.dhcpHosts[n.ID] = hosts
		}
		if slices.Contains(hosts, args.Host) {
			found = append(found, p.withPorts(n))
		}
	}
	return found, nil
}

// GetNetworkInfo returns a network, or nil if the network was deleted or the host does not serve
// it. A host with a disabled agent serves none.
func (p *plugin) GetNetworkInfo(_ context.Context, args neutronrpc.NetworkArgs) (*neutronrpc.Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.networks[args.NetworkID]
	if n == nil || !p.enabled(args.Host, dhcpAgents) || !slices.Contains(p.dhcpHosts[n.ID], args.Host) {
		return nil, nil
	}
	full := p.withPorts(n)
	return &full, nil
}

// CreateDhcpPort returns the port of a host's DHCP server, and creates it if necessary. It returns
// nil if the network was deleted.
func (p *plugin) CreateDhcpPort(_ context.Context, args neutronrpc.CreatePortArgs) (*neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := args.Port.Port
	wanted.Host, wanted.DeviceOwner = args.Host, "network:dhcp"
	same := p.portsWhere(func(port *neutronrpc.Port) bool {
		return port.NetworkID == wanted.NetworkID && port.DeviceID == wanted.DeviceID
	})
	switch {
	case len(same) > 0:
		return &same[0], nil
	case p.networks[wanted.NetworkID] == nil:
		return nil, nil
	default:
		return p.newPort(wanted)
	}
}

// UpdateDhcpPort changes the addresses and the host of a port. It returns nil if the port was
// deleted.
func (p *plugin) UpdateDhcpPort(_ context.Context, args neutronrpc.UpdatePortArgs) (*neutronrpc.Port, error) {
	_, changed, err := p.changePort(args.PortID, func(port *neutronrpc.Port) {
		if wanted := args.Port.Port; len(wanted.FixedIPs) > 0 {
			port.FixedIPs = wanted.FixedIPs
		}
		port.Host = args.Host
	})
	if _, gone := errors.AsType[*neutronrpc.PortNotFound](err); gone {
		return nil, nil
	}
	return changed, err
}

// ReleaseDhcpPort deletes the port of the DHCP server of a host.
func (p *plugin) ReleaseDhcpPort(_ context.Context, args neutronrpc.ReleasePortArgs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, port := range p.ports {
		if port.NetworkID == args.NetworkID && port.DeviceID == args.DeviceID {
			delete(p.ports, id)
		}
	}
	return nil
}

// GetDhcpPort returns a port.
func (p *plugin) GetDhcpPort(_ context.Context, args neutronrpc.PortArgs) (*neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	port := p.ports[args.PortID]
	if port == nil {
		return nil, &neutronrpc.PortNotFound{PortID: args.PortID}
	}
	found := *port
	return &found, nil
}

// DhcpReadyOnPorts marks ports as usable.
func (p *plugin) DhcpReadyOnPorts(_ context.Context, args neutronrpc.PortsArgs) error {
	for _, id := range args.PortIDs {
		_, _, _ = p.changePort(id, func(port *neutronrpc.Port) { port.Status = "ACTIVE" }) // unless it was deleted in the meantime
	}
	return nil
}

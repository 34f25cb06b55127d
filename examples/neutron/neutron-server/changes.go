package main

import (
	"slices"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// This file has the changes that operators can make. No agent is notified here: the methods of the
// API do that when they no longer hold the lock. Networks, ports and routers are replaced and never
// changed, so that they can be sent without the lock.

func (p *plugin) putNetwork(n neutronrpc.Network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.networks[n.ID] = &n
}

// addSubnet adds a subnet to a network, and returns the network.
func (p *plugin) addSubnet(s neutronrpc.Subnet) (neutronrpc.Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.networks[s.NetworkID]
	if n == nil {
		return neutronrpc.Network{}, &neutronrpc.NetworkNotFound{NetworkID: s.NetworkID}
	}
	changed := *n
	changed.RevisionNumber++
	changed.Subnets = append(slices.Clone(n.Subnets), s)
	p.networks[n.ID] = &changed
	return changed, nil
}

// removeNetwork removes a network with its ports, and returns the network.
func (p *plugin) removeNetwork(id string) (*neutronrpc.Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.networks[id]
	if n == nil {
		return nil, &neutronrpc.NetworkNotFound{NetworkID: id}
	}
	ports := p.withPorts(n).Ports
	for _, port := range ports {
		if port.DeviceOwner == interfaceOwner {
			return nil, badRequestf("network %s is in use by router %s", n.Name, port.DeviceID)
		}
	}
	for _, port := range ports {
		delete(p.ports, port.ID)
	}
	delete(p.networks, id)
	delete(p.dhcpHosts, id)
	return n, nil
}

func (p *plugin) addPort(wanted neutronrpc.Port) (*neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newPort(wanted)
}

// changePort changes a port, and returns the port before and after the change.
func (p *plugin) changePort(id string, change func(*neutronrpc.Port)) (before, after *neutronrpc.Port, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.ports[id]
	if before == nil {
		return nil, nil, &neutronrpc.PortNotFound{PortID: id}
	}
	changed := *before
	changed.RevisionNumber++
	change(&changed)
	p.ports[id] = &changed
	return before, &changed, nil
}

// removePort removes a port, and returns it.
func (p *plugin) removePort(id string) (*neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	port := p.ports[id]
	if port == nil {
		return nil, &neutronrpc.PortNotFound{PortID: id}
	}
	delete(p.ports, id)
	return port, nil
}

func (p *plugin) putRouter(r neutronrpc.Router) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routers[r.ID] = &r
}

// removeRouter removes a router with its ports, and returns the ports.
func (p *plugin) removeRouter(id string) ([]neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.router(id); err != nil {
		return nil, err
	}
	ports := p.portsWhere(func(port *neutronrpc.Port) bool { return port.DeviceID == id })
	for _, port := range ports {
		delete(p.ports, port.ID)
	}
	delete(p.routers, id)
	delete(p.l3Hosts, id)
	return ports, nil
}

// interfaceOwner is the owner of the ports that connect routers to networks as their gateways.
const interfaceOwner = "network:router_interface"

// addInterface gives a router a port on a network, with the address of the gateway.
func (p *plugin) addInterface(routerID, networkID string) (*neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, err := p.router(routerID)
	if err != nil {
		return nil, err
	}
	n := p.networks[networkID]
	switch {
	case n == nil:
		return nil, &neutronrpc.NetworkNotFound{NetworkID: networkID}
	case len(n.Subnets) == 0:
		return nil, badRequestf("network %s has no subnet", n.Name)
	}
	for _, port := range p.withPorts(n).Ports {
		if port.DeviceOwner == interfaceOwner {
			return nil, badRequestf("network %s is in use by router %s", n.Name, port.DeviceID)
		}
	}
	gateway := neutronrpc.FixedIP{SubnetID: n.Subnets[0].ID, IPAddress: n.Subnets[0].GatewayIP}
	port, err := p.newPort(neutronrpc.Port{
		NetworkID: networkID, DeviceID: routerID, DeviceOwner: interfaceOwner, FixedIPs: []neutronrpc.FixedIP{gateway},
	})
	if err != nil {
		return nil, err
	}
	changed := *r
	changed.RevisionNumber++
	changed.Interfaces = append(slices.Clone(r.Interfaces), *port)
	p.routers[routerID] = &changed
	return port, nil
}

// router returns a router. The caller holds the lock.
func (p *plugin) router(id string) (*neutronrpc.Router, error) {
	if r := p.routers[id]; r != nil {
		return r, nil
	}
	return nil, badRequestf("there is no router %q", id)
}

// bindRouter assigns a router to a host, and returns the previous hosts.
func (p *plugin) bindRouter(id, host string) (before []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.router(id); err != nil {
		return nil, err
	}
	if !p.enabled(host, l3Agents) {
		return nil, badRequestf("there is no enabled %s on host %q", l3Agents, host)
	}
	before = slices.DeleteFunc(slices.Clone(p.l3Hosts[id]), func(h string) bool { return h == host })
	p.l3Hosts[id] = []string{host}
	return before, nil
}

// unbindRouter removes a router from a host.
func (p *plugin) unbindRouter(id, host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.l3Hosts[id] = slices.DeleteFunc(slices.Clone(p.l3Hosts[id]), func(h string) bool { return h == host })
}

// addLabel adds a label to a router, and returns the router.
func (p *plugin) addLabel(routerID string, label neutronrpc.MeteringLabel) (neutronrpc.Router, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, err := p.router(routerID)
	if err != nil {
		return neutronrpc.Router{}, err
	}
	changed := *r
	changed.RevisionNumber++
	changed.MeteringLabels = append(slices.Clone(r.MeteringLabels), label)
	p.routers[routerID] = &changed
	return changed, nil
}

// enableAgent enables or disables an agent.
func (p *plugin) enableAgent(key agentKey, up bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.agents[key]
	if known == nil {
		return badRequestf("there is no %q on host %q", key.agentType, key.host)
	}
	known.AdminStateUp = up
	return nil
}

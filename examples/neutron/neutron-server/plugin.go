package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// plugin has the server's data, in memory. It implements the server side of all APIs: each endpoint
// uses the methods of its own interface.
type plugin struct {
	agentsPerNetwork int
	agentDownTime    time.Duration
	notifiers        notifiers

	mu       sync.Mutex
	networks map[string]*neutronrpc.Network // without ports
	ports    map[string]*neutronrpc.Port
	routers  map[string]*neutronrpc.Router
	agents   map[agentKey]*agent
	// dhcpHosts and l3Hosts have the hosts that serve each network and each router.
	dhcpHosts, l3Hosts map[string][]string
	macs               []neutronrpc.DVRMAC
}

func newPlugin(o options) *plugin {
	return &plugin{
		agentsPerNetwork: o.agentsPerNetwork, agentDownTime: o.agentDownTime,
		networks: map[string]*neutronrpc.Network{}, ports: map[string]*neutronrpc.Port{}, routers: map[string]*neutronrpc.Router{},
		agents: map[agentKey]*agent{}, dhcpHosts: map[string][]string{}, l3Hosts: map[string][]string{},
	}
}

// withPorts returns a network in the form for DHCP agents. The caller holds the lock.
func (p *plugin) withPorts(n *neutronrpc.Network) neutronrpc.Network {
	full := *n
	full.Subnets = slices.Clone(n.Subnets)
	full.Ports = p.portsWhere(func(port *neutronrpc.Port) bool { return port.NetworkID == n.ID })
	return full
}

// portsWhere returns the ports for which pass returns true, in the order of their ids. The caller
// holds the lock.
func (p *plugin) portsWhere(pass func(*neutronrpc.Port) bool) []neutronrpc.Port {
	found := []neutronrpc.Port{}
	for _, id := range slices.Sorted(maps.Keys(p.ports)) {
		if pass(p.ports[id]) {
			found = append(found, *p.ports[id])
		}
	}
	return found
}

// sortedNetworks returns all networks, in the order of their names. The caller holds the lock.
func (p *plugin) sortedNetworks() []*neutronrpc.Network {
	return slices.SortedFunc(maps.Values(p.networks), func(a, b *neutronrpc.Network) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// newPort makes a port from a request, with an address in each subnet that the request names, or in
// the first. The caller holds the lock.
func (p *plugin) newPort(wanted neutronrpc.Port) (*neutronrpc.Port, error) {
	n := p.networks[wanted.NetworkID]
	if n == nil {
		return nil, &neutronrpc.NetworkNotFound{NetworkID: wanted.NetworkID}
	}
	port := wanted
	port.ID, port.Status, port.RevisionNumber = neutronrpc.NewID(), "DOWN", 1
	port.MACAddress = cmp.Or(port.MACAddress, fmt.Sprintf("fa:16:3e:%s:%s:%s", port.ID[:2], port.ID[2:4], port.ID[4:6]))
	if len(port.FixedIPs) == 0 && len(n.Subnets) > 0 {
		port.FixedIPs = []neutronrpc.FixedIP{{SubnetID: n.Subnets[0].ID}}
	}
	port.FixedIPs = slices.Clone(port.FixedIPs)
	for i, ip := range port.FixedIPs {
		if ip.IPAddress == "" {
			address, err := p.freeAddress(n, ip.SubnetID)
			if err != nil {
				return nil, err
			}
			port.FixedIPs[i].IPAddress = address
		}
	}
	p.ports[port.ID] = &port
	return &port, nil
}

// freeAddress returns an address of a subnet that is not in use. The caller holds the lock.
func (p *plugin) freeAddress(n *neutronrpc.Network, subnetID string) (string, error) {
	taken := map[string]bool{}
	for _, port := range p.ports {
		for _, ip := range port.FixedIPs {
			if ip.SubnetID == subnetID {
				taken[ip.IPAddress] = true
			}
		}
	}
	for _, s := range n.Subnets {
		prefix, err := netip.ParsePrefix(s.CIDR)
		if s.ID != subnetID || err != nil {
			continue
		}
		for a := prefix.Masked().Addr().Next(); prefix.Contains(a.Next()); a = a.Next() { // but for the last, which is for broadcasts
			if address := a.String(); address != s.GatewayIP && !taken[address] {
				return address, nil
			}
		}
	}
	return "", &neutronrpc.IPAddressGenerationFailure{NetworkID: n.ID}
}

// GetPorts lists ports, filtered by the values of some fields.
func (p *plugin) GetPorts(_ context.Context, args neutronrpc.FilterArgs) ([]neutronrpc.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.portsWhere(func(port *neutronrpc.Port) bool {
		return passes(args.Filters, map[string]any{
			"id": port.ID, "network_id": port.NetworkID, "device_id": port.DeviceID, "device_owner": port.DeviceOwner,
			"binding:host_id": port.Host, "status": port.Status,
		})
	}), nil
}

// GetNetworks lists networks, filtered by the values of some fields. The answer has all fields,
// whatever was requested.
func (p *plugin) GetNetworks(_ context.Context, args neutronrpc.ListArgs) ([]neutronrpc.Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := []neutronrpc.Network{}
	for _, n := range p.sortedNetworks() {
		if passes(args.Filters.Or(nil), networkData(*n)) {
			found = append(found, *n)
		}
	}
	return found, nil
}

// passes reports whether the fields have the values of all filters.
func passes(filters map[string][]any, fields map[string]any) bool {
	for name, values := range filters {
		if !slices.Contains(values, fields[name]) {
			return false
		}
	}
	return true
}

// networkData returns a network as the object that agents can cache.
func networkData(n neutronrpc.Network) map[string]any {
	return map[string]any{
		"id": n.ID, "name": n.Name, "admin_state_up": n.AdminStateUp.Or(true), "mtu": int64(n.MTU), "revision_number": int64(n.RevisionNumber), // as numbers arrive
	}
}

// Pull returns an object at a version of its type, or nil if there is no such object.
func (p *plugin) Pull(ctx context.Context, args neutronrpc.PullArgs) (*neutronrpc.VersionedObject, error) {
	objects, err := p.BulkPull(ctx, neutronrpc.BulkPullArgs{
		ResourceType: args.ResourceType, Version: args.Version, FilterKwargs: oslorpc.Some(map[string]any{"id": args.ResourceID}),
	})
	if err != nil || len(objects) == 0 {
		return nil, err
	}
	return &objects[0], nil
}

// BulkPull returns objects at a version of their type.
func (p *plugin) BulkPull(_ context.Context, args neutronrpc.BulkPullArgs) ([]neutronrpc.VersionedObject, error) {
	if args.ResourceType != neutronrpc.NetworkType.Name {
		return nil, fmt.Errorf("there are no objects of type %q", args.ResourceType)
	}
	filters := map[string][]any{}
	for name, value := range args.FilterKwargs.Or(nil) {
		filters[name] = []any{value}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := []neutronrpc.VersionedObject{}
	for _, n := range p.sortedNetworks() {
		if data := networkData(*n); passes(filters, data) {
			o, err := neutronrpc.NetworkType.Object(args.Version, data)
			if err != nil {
				return nil, err
			}
			found = append(found, o)
		}
	}
	return found, nil
}

// up is the initial state of created objects.
var up = oslorpc.Some(true)

package neutronrpc

import (
	"reflect"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// DhcpPayload is the only argument of all messages to DHCP agents. The message determines which of
// its fields are set.
type DhcpPayload struct {
	Network *Network `json:"network,omitempty"`
	Subnet  *Subnet  `json:"subnet,omitempty"`
	Port    *Port    `json:"port,omitempty"`

	// For deleted resources, there are only ids, and for a port the addresses that are free again.
	NetworkID string                 `json:"network_id,omitzero"`
	SubnetID  string                 `json:"subnet_id,omitzero"`
	PortID    string                 `json:"port_id,omitzero"`
	FixedIPs  oslorpc.Opt[[]FixedIP] `json:"fixed_ips,omitzero"`

	AdminStateUp oslorpc.Opt[bool] `json:"admin_state_up,omitzero"`
	// Priority says which of several messages about a network an agent should handle first: the one
	// with the lowest number.
	Priority oslorpc.Opt[int] `json:"priority,omitzero"`
	Extra    oslorpc.Extra    `json:",embed"`
}

// These are the priorities of messages to DHCP agents.
const (
	PriorityNetworkCreate = iota
	PriorityNetworkUpdate
	PriorityNetworkDelete
	PrioritySubnetUpdate
	PrioritySubnetDelete
	// PriorityPortCreateHigh is for the one agent that should serve a new port before the others.
	PriorityPortCreateHigh
	PriorityPort
)

// dhcpPriorities has the events about which agents are notified, with their priorities.
var dhcpPriorities = map[string]int{
	"network.create.end": PriorityNetworkCreate,
	"network.update.end": PriorityNetworkUpdate,
	"network.delete.end": PriorityNetworkDelete,
	"subnet.create.end":  PrioritySubnetUpdate,
	"subnet.update.end":  PrioritySubnetUpdate,
	"subnet.delete.end":  PrioritySubnetDelete,
	"port.create.end":    PriorityPort,
	"port.update.end":    PriorityPort,
	"port.delete.end":    PriorityPort,
}

// methodOf returns the method and the priority for an event such as "port.create.end". It returns
// false if agents are not notified of it.
func methodOf(event string) (method string, priority int, ok bool) {
	priority, ok = dhcpPriorities[event]
	return strings.ReplaceAll(event, ".", "_"), priority, ok
}

// networkID returns the id of the network of the resource in the payload. It is empty unless there
// is exactly one resource.
func (p DhcpPayload) networkID() string {
	resources := 0
	for _, is := range []bool{p.Network != nil, p.Subnet != nil, p.Port != nil} {
		if is {
			resources++
		}
	}
	switch {
	case resources != 1:
		return ""
	case p.Network != nil:
		return p.Network.ID
	case p.Subnet != nil:
		return p.Subnet.NetworkID
	default:
		return p.Port.NetworkID
	}
}

// deleted returns the payload for a deleted resource.
func (p DhcpPayload) deleted() DhcpPayload {
	switch {
	case p.Network != nil:
		return DhcpPayload{NetworkID: p.Network.ID}
	case p.Subnet != nil:
		return DhcpPayload{SubnetID: p.Subnet.ID, NetworkID: p.Subnet.NetworkID}
	default:
		addresses := append([]FixedIP{}, p.Port.FixedIPs...) // a list, also if it has none
		return DhcpPayload{PortID: p.Port.ID, NetworkID: p.Port.NetworkID, FixedIPs: oslorpc.Some(addresses)}
	}
}

// kind returns the kind of the resource.
func (p DhcpPayload) kind() string {
	switch {
	case p.Network != nil:
		return "network"
	case p.Subnet != nil:
		return "subnet"
	default:
		return "port"
	}
}

// id returns the id of the resource.
func (p DhcpPayload) id() string {
	switch {
	case p.Network != nil:
		return p.Network.ID
	case p.Subnet != nil:
		return p.Subnet.ID
	default:
		return p.Port.ID
	}
}

// with returns the payload with a priority.
func (p DhcpPayload) with(priority int) DhcpPayload {
	p.Priority = oslorpc.Some(priority)
	return p
}

// reservesPort reports whether the payload is a port that is reserved for an agent. Such a port is
// no reason to assign the network to an agent.
func (p DhcpPayload) reservesPort() bool { return p.Port != nil && p.Port.DeviceID == ReservedDhcpPort }

// DhcpSees reports whether the difference between a port before and after a change concerns a DHCP
// agent. Most changes of a port only change its status, and there are very many of these.
func DhcpSees(before, after Port) bool {
	return before.MACAddress != after.MACAddress || before.DNSName != after.DNSName ||
		before.DNSDomain != after.DNSDomain || !sameEach(before.DNSAssignment, after.DNSAssignment) ||
		!sameEach(before.FixedIPs, after.FixedIPs) || !sameEach(before.ExtraDhcpOpts, after.ExtraDhcpOpts)
}

func sameEach[T any](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool { return reflect.DeepEqual(x, y) })
}

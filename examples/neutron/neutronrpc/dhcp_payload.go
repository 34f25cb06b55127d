package neutronrpc

import (
	"reflect"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// DhcpPayload is the one argument of all messages to DHCP agents. Which of its fields are set
// depends on the message.
type DhcpPayload struct {
	Network *Network `json:"network,omitempty"`
	Subnet  *Subnet  `json:"subnet,omitempty"`
	Port    *Port    `json:"port,omitempty"`

	// Of what was deleted, there are only ids, and of a port the addresses that are free again.
	NetworkID string                 `json:"network_id,omitzero"`
	SubnetID  string                 `json:"subnet_id,omitzero"`
	PortID    string                 `json:"port_id,omitzero"`
	FixedIPs  oslorpc.Opt[[]FixedIP] `json:"fixed_ips,omitzero"`

	AdminStateUp oslorpc.Opt[bool] `json:"admin_state_up,omitzero"`
	// Priority says which of several messages about a network an agent should handle first: the
	// lower, the earlier.
	Priority oslorpc.Opt[int] `json:"priority,omitzero"`
	Extra    oslorpc.Extra    `json:",embed"`
}

// The priorities of messages to DHCP agents.
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

// dhcpPriorities are the events that agents are told of, with their priorities.
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

// methodOf returns the method and the priority for an event such as "port.create.end"; false if
// agents are not told of it.
func methodOf(event string) (method string, priority int, ok bool) {
	priority, ok = dhcpPriorities[event]
	return strings.ReplaceAll(event, ".", "_"), priority, ok
}

// networkID returns the id of the network that a payload is about; none if it has not exactly one
// resource.
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

// deleted returns what agents are told of a resource that is gone.
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

// kind returns what the resource is.
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

// reservesPort reports whether the payload is a port that is kept for an agent, and so is no reason
// to look for one.
func (p DhcpPayload) reservesPort() bool { return p.Port != nil && p.Port.DeviceID == ReservedDhcpPort }

// DhcpSees reports whether a DHCP agent can see the difference between a port before and after a
// change. Most changes of a port are of its status, and there are very many of those.
func DhcpSees(before, after Port) bool {
	return before.MACAddress != after.MACAddress || before.DNSName != after.DNSName ||
		before.DNSDomain != after.DNSDomain || !sameEach(before.DNSAssignment, after.DNSAssignment) ||
		!sameEach(before.FixedIPs, after.FixedIPs) || !sameEach(before.ExtraDhcpOpts, after.ExtraDhcpOpts)
}

func sameEach[T any](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool { return reflect.DeepEqual(x, y) })
}

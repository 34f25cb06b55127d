package neutronrpc

import "github.com/oslorpc/oslorpc/pkg/oslorpc"

// These are the objects in messages. A field that is not set is not sent, so a Network with only
// its ID is a reference. Fields that a later peer adds are in Extra, since Neutron's dicts may have
// more keys than a program knows.
type (
	// Network is a network. In an answer to a DHCP agent, it has its subnets and ports.
	Network struct {
		ID             string            `json:"id"`
		Name           string            `json:"name,omitzero"`
		AdminStateUp   oslorpc.Opt[bool] `json:"admin_state_up,omitzero"`
		MTU            int               `json:"mtu,omitzero"`
		RevisionNumber int               `json:"revision_number,omitzero"`
		Subnets        []Subnet          `json:"subnets,omitempty"`
		Ports          []Port            `json:"ports,omitempty"`
		Extra          oslorpc.Extra     `json:",embed"`
	}
	// Subnet is a range of addresses of a network.
	Subnet struct {
		ID         string            `json:"id"`
		NetworkID  string            `json:"network_id,omitzero"`
		SegmentID  string            `json:"segment_id,omitzero"`
		CIDR       string            `json:"cidr,omitzero"`
		GatewayIP  string            `json:"gateway_ip,omitzero"`
		EnableDhcp oslorpc.Opt[bool] `json:"enable_dhcp,omitzero"`
		Extra      oslorpc.Extra     `json:",embed"`
	}
	// Port is a connection to a network.
	Port struct {
		ID             string        `json:"id,omitzero"`
		Name           string        `json:"name,omitzero"`
		NetworkID      string        `json:"network_id,omitzero"`
		MACAddress     string        `json:"mac_address,omitzero"`
		FixedIPs       []FixedIP     `json:"fixed_ips,omitempty"`
		DeviceID       string        `json:"device_id,omitzero"`
		DeviceOwner    string        `json:"device_owner,omitzero"`
		Host           string        `json:"binding:host_id,omitzero"`
		Status         string        `json:"status,omitzero"`
		DNSName        string        `json:"dns_name,omitzero"`
		DNSDomain      string        `json:"dns_domain,omitzero"`
		DNSAssignment  []DNSName     `json:"dns_assignment,omitempty"`
		ExtraDhcpOpts  []DhcpOpt     `json:"extra_dhcp_opts,omitempty"`
		RevisionNumber int           `json:"revision_number,omitzero"`
		Extra          oslorpc.Extra `json:",embed"`
	}
	// FixedIP is an address of a port.
	FixedIP struct {
		SubnetID  string        `json:"subnet_id"`
		IPAddress string        `json:"ip_address,omitzero"`
		Extra     oslorpc.Extra `json:",embed"`
	}
	// DNSName is a DNS name of an address of a port.
	DNSName struct {
		Hostname  string        `json:"hostname"`
		IPAddress string        `json:"ip_address"`
		FQDN      string        `json:"fqdn"`
		Extra     oslorpc.Extra `json:",embed"`
	}
	// DhcpOpt is an option that the DHCP server gives to a port.
	DhcpOpt struct {
		Name  string        `json:"opt_name"`
		Value string        `json:"opt_value"`
		Extra oslorpc.Extra `json:",embed"`
	}
	// Router is a router, with the data for an L3 agent.
	Router struct {
		ID             string            `json:"id"`
		Name           string            `json:"name,omitzero"`
		AdminStateUp   oslorpc.Opt[bool] `json:"admin_state_up,omitzero"`
		RevisionNumber int               `json:"revision_number,omitzero"`
		Interfaces     []Port            `json:"_interfaces,omitempty"`
		MeteringLabels []MeteringLabel   `json:"_metering_labels,omitempty"`
		Extra          oslorpc.Extra     `json:",embed"`
	}
	// MeteringLabel is a label under which the traffic of a router is counted.
	MeteringLabel struct {
		ID    string         `json:"id"`
		Rules []MeteringRule `json:"rules,omitempty"`
		Extra oslorpc.Extra  `json:",embed"`
	}
	// MeteringRule says which traffic is counted.
	MeteringRule struct {
		ID             string        `json:"id"`
		RemoteIPPrefix string        `json:"remote_ip_prefix"`
		Direction      string        `json:"direction"`
		Excluded       bool          `json:"excluded"`
		Extra          oslorpc.Extra `json:",embed"`
	}
	// Agent is an agent in the view of the server, from its reports.
	Agent struct {
		ID        string `json:"id"`
		AgentType string `json:"agent_type"`
		Binary    string `json:"binary"`
		Host      string `json:"host"`
		// Topic is the topic on which the agent listens.
		Topic        string `json:"topic"`
		AdminStateUp bool   `json:"admin_state_up"`
		// Alive is true if the agent reported within the time that the server allows.
		Alive bool `json:"alive"`
	}
)

// ReservedDhcpPort is the device id of ports that are reserved for reuse by a DHCP agent.
const ReservedDhcpPort = "reserved_dhcp_port"

// ListArgs are the arguments of methods that list objects: only those whose attributes have one of
// the values, and only some of their attributes. If an argument is absent or empty, it does not
// restrict the list.
type ListArgs struct {
	Filters oslorpc.Opt[map[string][]any] `json:"filters"`
	Fields  oslorpc.Opt[[]string]         `json:"fields"`
}

// FilterArgs are the arguments of methods that list objects with all their attributes.
type FilterArgs struct {
	Filters map[string][]any `json:"filters"`
}

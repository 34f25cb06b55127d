package neutronrpc

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// DVRServerRPCAPI is the agent's side of the API for distributed virtual routers, from the agent to
// the server.
//
// API version history:
//
//	1.0 - Initial version
//	1.1 - get_subnet_for_dvr takes fixed_ips
//
// It asks for 1.0 only, as Neutron's class does, although it sends fixed_ips: servers are upgraded
// before agents.
type DVRServerRPCAPI struct {
	client *oslorpc.Client
	host   string
}

// NewDVRServerRPCAPI returns the agent's side, for the agent on a host.
func NewDVRServerRPCAPI(t *oslorpc.Transport, host string, options ...oslorpc.ClientOption) *DVRServerRPCAPI {
	return &DVRServerRPCAPI{t.Client(oslorpc.Target{Topic: PluginTopic, Version: "1.0"}, options...), host}
}

// GetDVRMACAddressByHost returns the MAC address of the agent's host. The server generates one if
// the host has none.
func (a *DVRServerRPCAPI) GetDVRMACAddressByHost(ctx context.Context) (*DVRMAC, error) {
	return oslorpc.Call[*DVRMAC](AdminContext(ctx), a.client, "get_dvr_mac_address_by_host", HostArgs{Host: a.host})
}

// GetDVRMACAddressList returns the MAC addresses of all hosts.
func (a *DVRServerRPCAPI) GetDVRMACAddressList(ctx context.Context) ([]DVRMAC, error) {
	return oslorpc.Call[[]DVRMAC](AdminContext(ctx), a.client, "get_dvr_mac_address_list", nil)
}

// GetPortsOnHostBySubnet returns the ports of a subnet that are on the agent's host.
func (a *DVRServerRPCAPI) GetPortsOnHostBySubnet(ctx context.Context, subnetID string) ([]Port, error) {
	args := PortsOnHostArgs{Host: a.host, Subnet: subnetID}
	return oslorpc.Call[[]Port](AdminContext(ctx), a.client, "get_ports_on_host_by_subnet", args)
}

// GetSubnetForDVR returns a subnet, with the gateway that is among the addresses.
func (a *DVRServerRPCAPI) GetSubnetForDVR(ctx context.Context, subnetID string, fixedIPs []FixedIP) (*Subnet, error) {
	args := SubnetForDVRArgs{Subnet: subnetID, FixedIPs: oslorpc.Some(fixedIPs)}
	return oslorpc.Call[*Subnet](AdminContext(ctx), a.client, "get_subnet_for_dvr", args)
}

// GetPorts lists ports. [MetadataRPCCallback] serves it, on the same topic.
func (a *DVRServerRPCAPI) GetPorts(ctx context.Context, filters map[string][]any) ([]Port, error) {
	return oslorpc.Call[[]Port](AdminContext(ctx), a.client, "get_ports", FilterArgs{filters})
}

// The arguments of the methods of [DVRServerRPC] and [DVRAgentRPC].
type (
	// DVRMAC is the MAC address of the distributed routers on a host.
	DVRMAC struct {
		Host       string `json:"host"`
		MACAddress string `json:"mac_address"`
	}
	// PortsOnHostArgs are the arguments of get_ports_on_host_by_subnet.
	PortsOnHostArgs struct {
		Host   string `json:"host"`
		Subnet string `json:"subnet"`
		oslorpc.Extra
	}
	// SubnetForDVRArgs are the arguments of get_subnet_for_dvr.
	SubnetForDVRArgs struct {
		Subnet   string                 `json:"subnet"`
		FixedIPs oslorpc.Opt[[]FixedIP] `json:"fixed_ips"`
		oslorpc.Extra
	}
	// DVRMACsArgs are the arguments of dvr_mac_address_update.
	DVRMACsArgs struct {
		DVRMACs []DVRMAC `json:"dvr_macs"`
		oslorpc.Extra
	}
)

// DVRServerRPC is the server's side of [DVRServerRPCAPI].
type DVRServerRPC interface {
	GetDVRMACAddressByHost(ctx context.Context, args HostArgs) (*DVRMAC, error)
	GetDVRMACAddressList(ctx context.Context) ([]DVRMAC, error)
	GetPortsOnHostBySubnet(ctx context.Context, args PortsOnHostArgs) ([]Port, error)
	GetSubnetForDVR(ctx context.Context, args SubnetForDVRArgs) (*Subnet, error)
}

// DVRServerRPCCallback returns the endpoint of a server.
func DVRServerRPCCallback(server DVRServerRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(struct{ DVRServerRPC }{server}).
		Rename("GetDVRMACAddressByHost", "get_dvr_mac_address_by_host").
		Rename("GetDVRMACAddressList", "get_dvr_mac_address_list")}
}

// DVRUpdateTopic is the topic for messages to agents about the MAC addresses of hosts.
var DVRUpdateTopic = TopicName(AgentTopic, "dvr", "update")

// DVRAgentRPCAPIMixin is the server's side of the API from the server to agents. In Neutron it is a
// mixin that the notifier of the L2 agents inherits; here a struct can embed it.
type DVRAgentRPCAPIMixin struct{ client *oslorpc.Client }

// NewDVRAgentRPCAPIMixin returns the server's side.
func NewDVRAgentRPCAPIMixin(t *oslorpc.Transport, options ...oslorpc.ClientOption) *DVRAgentRPCAPIMixin {
	return &DVRAgentRPCAPIMixin{t.Client(oslorpc.Target{Topic: DVRUpdateTopic, Version: "1.0"}, options...)}
}

// DVRMACAddressUpdate sends all agents the MAC addresses of all hosts. If there are none, it sends
// nothing.
func (n *DVRAgentRPCAPIMixin) DVRMACAddressUpdate(ctx context.Context, macs []DVRMAC) error {
	if len(macs) == 0 {
		return nil
	}
	return fanout(ctx, n.client, "dvr_mac_address_update", DVRMACsArgs{DVRMACs: macs})
}

// DVRAgentRPC is the agent's side of [DVRAgentRPCAPIMixin].
type DVRAgentRPC interface {
	DVRMACAddressUpdate(ctx context.Context, args DVRMACsArgs) error
}

// DVRAgentRPCCallbackMixin returns the endpoint of an agent.
func DVRAgentRPCCallbackMixin(agent DVRAgentRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(struct{ DVRAgentRPC }{agent}).
		Rename("DVRMACAddressUpdate", "dvr_mac_address_update")}
}

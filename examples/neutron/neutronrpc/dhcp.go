package neutronrpc

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// DhcpPluginAPI is the agent's side of the DHCP API, from the agent to the server.
//
// API version history:
//
//	1.0 - Initial version
//	1.1 - Added get_active_networks_info, create_dhcp_port and update_dhcp_port
//	1.5 - Added dhcp_ready_on_ports
//	1.7 - Added get_networks
//	1.8 - Added get_dhcp_port
//
// 1.2, 1.3, 1.4 and 1.6 removed methods that no agent calls any more, and 1.9 and 1.10 changed
// results only.
type DhcpPluginAPI struct {
	client *oslorpc.Client
	host   string
}

// NewDhcpPluginAPI returns the agent's side, for the agent on a host.
func NewDhcpPluginAPI(t *oslorpc.Transport, host string, options ...oslorpc.ClientOption) *DhcpPluginAPI {
	return &DhcpPluginAPI{t.Client(oslorpc.Target{Topic: PluginTopic, Version: "1.0"}, options...), host}
}

func (a *DhcpPluginAPI) at(version string) *oslorpc.Client {
	return a.client.Prepare(oslorpc.WithVersion(version))
}

// GetActiveNetworksInfo returns the networks that the agent must serve, with subnets and ports.
// With all, networks without DHCP are included.
func (a *DhcpPluginAPI) GetActiveNetworksInfo(ctx context.Context, all bool) ([]Network, error) {
	args := ActiveNetworksArgs{Host: a.host}
	if all {
		args.EnableDhcpFilter = oslorpc.Some(false)
	}
	return oslorpc.Call[[]Network](AdminContext(ctx), a.at("1.1"), "get_active_networks_info", args)
}

// GetNetworkInfo returns a network with its subnets and ports, or nil if the network was deleted or
// is not the agent's.
func (a *DhcpPluginAPI) GetNetworkInfo(ctx context.Context, networkID string) (*Network, error) {
	args := NetworkArgs{NetworkID: networkID, Host: a.host}
	return oslorpc.Call[*Network](AdminContext(ctx), a.client, "get_network_info", args)
}

// CreateDhcpPort creates the port of the DHCP server on a network. It returns nil if the network
// was deleted in the meantime. After an [IPAddressGenerationFailure], another attempt is useless.
func (a *DhcpPluginAPI) CreateDhcpPort(ctx context.Context, port Port) (*Port, error) {
	args := CreatePortArgs{Port: PortBody{port}, Host: a.host}
	return oslorpc.Call[*Port](AdminContext(ctx), a.at("1.1"), "create_dhcp_port", args)
}

// UpdateDhcpPort changes the port of the DHCP server on a network.
func (a *DhcpPluginAPI) UpdateDhcpPort(ctx context.Context, portID string, port Port) (*Port, error) {
	args := UpdatePortArgs{PortID: portID, Port: PortBody{port}, Host: a.host}
	return oslorpc.Call[*Port](AdminContext(ctx), a.at("1.1"), "update_dhcp_port", args)
}

// ReleaseDhcpPort gives up the port of the DHCP server on a network.
func (a *DhcpPluginAPI) ReleaseDhcpPort(ctx context.Context, networkID, deviceID string) error {
	args := ReleasePortArgs{NetworkID: networkID, DeviceID: deviceID, Host: a.host}
	_, err := oslorpc.Call[any](AdminContext(ctx), a.client, "release_dhcp_port", args)
	return err
}

// GetDhcpPort returns a port.
func (a *DhcpPluginAPI) GetDhcpPort(ctx context.Context, portID string) (*Port, error) {
	return oslorpc.Call[*Port](AdminContext(ctx), a.at("1.8"), "get_dhcp_port", PortArgs{PortID: portID})
}

// DhcpReadyOnPorts reports that DHCP serves the ports from now on, so that users of the ports, such
// as virtual machines, can start.
func (a *DhcpPluginAPI) DhcpReadyOnPorts(ctx context.Context, portIDs []string) error {
	_, err := oslorpc.Call[any](AdminContext(ctx), a.at("1.5"), "dhcp_ready_on_ports", PortsArgs{PortIDs: portIDs})
	return err
}

// GetNetworks lists networks, for drivers of other vendors.
func (a *DhcpPluginAPI) GetNetworks(ctx context.Context, filters map[string][]any, fields []string) ([]Network, error) {
	args := ListArgs{Filters: oslorpc.Some(filters), Fields: oslorpc.Some(fields)}
	return oslorpc.Call[[]Network](AdminContext(ctx), a.at("1.7"), "get_networks", args)
}

// GetPorts lists ports. [MetadataRPCCallback] serves it, on the same topic.
func (a *DhcpPluginAPI) GetPorts(ctx context.Context, filters map[string][]any) ([]Port, error) {
	return oslorpc.Call[[]Port](AdminContext(ctx), a.client, "get_ports", FilterArgs{filters})
}

// The arguments of the methods of [DhcpRPC].
type (
	// ActiveNetworksArgs are the arguments of get_active_networks_info.
	ActiveNetworksArgs struct {
		Host string `json:"host"`
		// EnableDhcpFilter asks for networks with DHCP only. Absent means true.
		EnableDhcpFilter oslorpc.Opt[bool] `json:"enable_dhcp_filter"`
		oslorpc.Extra
	}
	// NetworkArgs are the arguments of get_network_info.
	NetworkArgs struct {
		NetworkID string `json:"network_id"`
		Host      string `json:"host"`
		oslorpc.Extra
	}
	// PortBody is a port in the form of a request body of the REST API.
	PortBody struct {
		Port Port `json:"port"`
	}
	// CreatePortArgs are the arguments of create_dhcp_port.
	CreatePortArgs struct {
		Port PortBody `json:"port"`
		Host string   `json:"host"`
		oslorpc.Extra
	}
	// UpdatePortArgs are the arguments of update_dhcp_port.
	UpdatePortArgs struct {
		PortID string   `json:"port_id"`
		Port   PortBody `json:"port"`
		Host   string   `json:"host"`
		oslorpc.Extra
	}
	// ReleasePortArgs are the arguments of release_dhcp_port.
	ReleasePortArgs struct {
		NetworkID string `json:"network_id"`
		DeviceID  string `json:"device_id"`
		Host      string `json:"host"`
		oslorpc.Extra
	}
	// PortArgs are the arguments of get_dhcp_port.
	PortArgs struct {
		PortID string `json:"port_id"`
		oslorpc.Extra
	}
	// PortsArgs are the arguments of dhcp_ready_on_ports.
	PortsArgs struct {
		PortIDs []string `json:"port_ids"`
	}
)

// DhcpRPC is the server's side of [DhcpPluginAPI].
type DhcpRPC interface {
	GetActiveNetworksInfo(ctx context.Context, args ActiveNetworksArgs) ([]Network, error)
	GetNetworkInfo(ctx context.Context, args NetworkArgs) (*Network, error)
	CreateDhcpPort(ctx context.Context, args CreatePortArgs) (*Port, error)
	UpdateDhcpPort(ctx context.Context, args UpdatePortArgs) (*Port, error)
	ReleaseDhcpPort(ctx context.Context, args ReleasePortArgs) error
	GetDhcpPort(ctx context.Context, args PortArgs) (*Port, error)
	DhcpReadyOnPorts(ctx context.Context, args PortsArgs) error
	GetNetworks(ctx context.Context, args ListArgs) ([]Network, error)
}

// DhcpRPCCallback returns the endpoint of a server.
func DhcpRPCCallback(server DhcpRPC) oslorpc.Endpoint {
	noAddress, noNetwork := oslorpc.ErrorType[*IPAddressGenerationFailure](), oslorpc.ErrorType[*NetworkNotFound]()
	return oslorpc.Endpoint{Version: "1.10", Struct: oslorpc.Methods(struct{ DhcpRPC }{server}).
		Since("1.1", "GetActiveNetworksInfo", "CreateDhcpPort", "UpdateDhcpPort").
		Since("1.5", "DhcpReadyOnPorts").
		Since("1.7", "GetNetworks").
		Since("1.8", "GetDhcpPort").
		Expect("CreateDhcpPort", noAddress).
		Expect("UpdateDhcpPort", noNetwork, noAddress)}
}

// MetadataRPC is the server's side of a method that several kinds of agents call.
type MetadataRPC interface {
	GetPorts(ctx context.Context, args FilterArgs) ([]Port, error)
}

// MetadataRPCCallback returns the endpoint of a server.
func MetadataRPCCallback(server MetadataRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(struct{ MetadataRPC }{server})}
}

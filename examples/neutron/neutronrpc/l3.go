package neutronrpc

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// L3PluginAPI is the agent's side of the L3 API, from the agent to the server.
//
// API version history:
//
//	1.0 - Initial version, with sync_routers
//	1.1 - Added update_floatingip_statuses
//	1.2 - Added get_ports_by_subnet and get_agent_gateway_port
//	1.3 - Added get_service_plugin_list
//	1.5 - Added update_ha_routers_states
//	1.7 - Added delete_agent_gateway_port
//	1.9 - Added get_router_ids
//	1.10 - Added update_all_ha_network_port_statuses
//	1.11 - Added get_host_ha_router_count
//	1.12 - Added get_networks
//	1.13 - Removed get_external_network_id, which is not here
type L3PluginAPI struct {
	client *oslorpc.Client
	host   string
}

// NewL3PluginAPI returns the agent's side, for the agent on a host.
func NewL3PluginAPI(t *oslorpc.Transport, host string, options ...oslorpc.ClientOption) *L3PluginAPI {
	return &L3PluginAPI{t.Client(oslorpc.Target{Topic: L3PluginTopic, Version: "1.0"}, options...), host}
}

func (a *L3PluginAPI) at(version string) *oslorpc.Client {
	return a.client.Prepare(oslorpc.WithVersion(version))
}

// GetRouters returns the routers that the agent must serve, or only the given ones of these. Nil
// means all.
func (a *L3PluginAPI) GetRouters(ctx context.Context, routerIDs []string) ([]Router, error) {
	args := SyncRoutersArgs{Host: a.host}
	if routerIDs != nil {
		args.RouterIDs = &routerIDs
	}
	return oslorpc.Call[[]Router](AdminContext(ctx), a.client, "sync_routers", args)
}

// GetRouterIDs returns the ids of the routers that the agent must serve. It costs the server much
// less than GetRouters.
func (a *L3PluginAPI) GetRouterIDs(ctx context.Context) ([]string, error) {
	return oslorpc.Call[[]string](AdminContext(ctx), a.at("1.9"), "get_router_ids", HostArgs{Host: a.host})
}

// UpdateAllHANetworkPortStatuses sets the ports of the agent's HA networks to down, which is their
// state after the start of a host.
func (a *L3PluginAPI) UpdateAllHANetworkPortStatuses(ctx context.Context) error {
	_, err := oslorpc.Call[any](AdminContext(ctx), a.at("1.10"), "update_all_ha_network_port_statuses", HostArgs{Host: a.host})
	return err
}

// GetHostHARouterCount returns how many HA routers the agent must serve.
func (a *L3PluginAPI) GetHostHARouterCount(ctx context.Context) (int, error) {
	return oslorpc.Call[int](AdminContext(ctx), a.at("1.11"), "get_host_ha_router_count", HostArgs{Host: a.host})
}

// UpdateFloatingIPStatuses reports which floating IPs of a router are served.
func (a *L3PluginAPI) UpdateFloatingIPStatuses(ctx context.Context, routerID string, statuses map[string]string) error {
	args := FloatingIPStatusesArgs{RouterID: routerID, FipStatuses: statuses}
	_, err := oslorpc.Call[any](AdminContext(ctx), a.at("1.1"), "update_floatingip_statuses", args)
	return err
}

// GetPortsBySubnet returns the ports of a subnet.
func (a *L3PluginAPI) GetPortsBySubnet(ctx context.Context, subnetID string) ([]Port, error) {
	args := SubnetArgs{Host: a.host, SubnetID: subnetID}
	return oslorpc.Call[[]Port](AdminContext(ctx), a.at("1.2"), "get_ports_by_subnet", args)
}

// GetAgentGatewayPort returns the agent's own port on an external network. The server creates it if
// necessary.
func (a *L3PluginAPI) GetAgentGatewayPort(ctx context.Context, networkID string) (*Port, error) {
	args := GatewayArgs{NetworkID: networkID, Host: a.host}
	return oslorpc.Call[*Port](AdminContext(ctx), a.at("1.2"), "get_agent_gateway_port", args)
}

// DeleteAgentGatewayPort deletes the agent's own port on an external network.
func (a *L3PluginAPI) DeleteAgentGatewayPort(ctx context.Context, networkID string) error {
	args := GatewayArgs{NetworkID: networkID, Host: a.host}
	_, err := oslorpc.Call[any](AdminContext(ctx), a.at("1.7"), "delete_agent_gateway_port", args)
	return err
}

// GetServicePluginList returns the names of the server's service plugins.
func (a *L3PluginAPI) GetServicePluginList(ctx context.Context) ([]string, error) {
	return oslorpc.Call[[]string](AdminContext(ctx), a.at("1.3"), "get_service_plugin_list", nil)
}

// GetNetworks lists networks.
func (a *L3PluginAPI) GetNetworks(ctx context.Context, filters map[string][]any, fields []string) ([]Network, error) {
	args := ListArgs{Filters: oslorpc.Some(filters), Fields: oslorpc.Some(fields)}
	return oslorpc.Call[[]Network](AdminContext(ctx), a.at("1.12"), "get_networks", args)
}

// UpdateHARoutersStates reports which of the agent's HA routers are active. Besides the agents'
// state reports it is the only cast from an agent to the server: a lost one does not matter, since
// the states change again soon.
func (a *L3PluginAPI) UpdateHARoutersStates(ctx context.Context, states map[string]string) error {
	args := HAStatesArgs{Host: a.host, States: states}
	return a.at("1.5").Cast(AdminContext(ctx), "update_ha_routers_states", args)
}

// The arguments of the methods of [L3RPC].
type (
	// HostArgs are the arguments of get_router_ids and other methods for which the server only
	// needs the caller's host.
	HostArgs struct {
		Host string `json:"host"`
		oslorpc.Extra
	}
	// SyncRoutersArgs are the arguments of sync_routers.
	SyncRoutersArgs struct {
		Host string `json:"host"`
		// RouterIDs is null for all routers, which differs from an empty list.
		RouterIDs *[]string `json:"router_ids"`
		oslorpc.Extra
	}
	// FloatingIPStatusesArgs are the arguments of update_floatingip_statuses.
	FloatingIPStatusesArgs struct {
		RouterID    string            `json:"router_id"`
		FipStatuses map[string]string `json:"fip_statuses"`
	}
	// SubnetArgs are the arguments of get_ports_by_subnet.
	SubnetArgs struct {
		Host     string `json:"host"`
		SubnetID string `json:"subnet_id"`
		oslorpc.Extra
	}
	// GatewayArgs are the arguments of get_agent_gateway_port and delete_agent_gateway_port.
	GatewayArgs struct {
		NetworkID string `json:"network_id"`
		Host      string `json:"host"`
		oslorpc.Extra
	}
	// HAStatesArgs are the arguments of update_ha_routers_states.
	HAStatesArgs struct {
		Host   string            `json:"host"`
		States map[string]string `json:"states"`
		oslorpc.Extra
	}
)

// L3RPC is the server's side of [L3PluginAPI].
type L3RPC interface {
	SyncRouters(ctx context.Context, args SyncRoutersArgs) ([]Router, error)
	GetRouterIDs(ctx context.Context, args HostArgs) ([]string, error)
	UpdateAllHANetworkPortStatuses(ctx context.Context, args HostArgs) error
	GetHostHARouterCount(ctx context.Context, args HostArgs) (int, error)
	UpdateFloatingIPStatuses(ctx context.Context, args FloatingIPStatusesArgs) error
	GetPortsBySubnet(ctx context.Context, args SubnetArgs) ([]Port, error)
	GetAgentGatewayPort(ctx context.Context, args GatewayArgs) (*Port, error)
	DeleteAgentGatewayPort(ctx context.Context, args GatewayArgs) error
	GetServicePluginList(ctx context.Context) ([]string, error)
	GetNetworks(ctx context.Context, args ListArgs) ([]Network, error)
	UpdateHARoutersStates(ctx context.Context, args HAStatesArgs) error
}

// L3RPCCallback returns the endpoint of a server.
func L3RPCCallback(server L3RPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.13", Struct: oslorpc.Methods(struct{ L3RPC }{server}).
		Rename("GetRouterIDs", "get_router_ids"). // and not get_router_i_ds
		Rename("UpdateFloatingIPStatuses", "update_floatingip_statuses").
		Since("1.1", "UpdateFloatingIPStatuses").
		Since("1.2", "GetPortsBySubnet", "GetAgentGatewayPort").
		Since("1.3", "GetServicePluginList").
		Since("1.5", "UpdateHARoutersStates").
		Since("1.7", "DeleteAgentGatewayPort").
		Since("1.9", "GetRouterIDs").
		Since("1.10", "UpdateAllHANetworkPortStatuses").
		Since("1.11", "GetHostHARouterCount").
		Since("1.12", "GetNetworks")}
}

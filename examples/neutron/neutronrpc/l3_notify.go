package neutronrpc

import (
	"context"
	"errors"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// L3Scheduler tells the notifiers which agents serve which router.
type L3Scheduler interface {
	// ScheduleRouters assigns agents to routers that have none.
	ScheduleRouters(ctx context.Context, routerIDs []string) error
	// L3AgentsHosting returns the enabled agents that serve a router. With active, it returns only
	// those that reported recently.
	L3AgentsHosting(ctx context.Context, routerID string, active bool) ([]Agent, error)
}

// L3AgentNotifyAPI is the server's side of the API from the server to L3 agents.
//
// API version history:
//
//	1.0 - Initial version
//	1.1 - routers_updated takes ids in place of routers
//	1.2 - Added add_arp_entry and del_arp_entry
//	1.3 - Added fipnamespace_delete_on_ext_net
//	1.4 - Added network_update, which the notifier of the L2 agents sends: [NetworkNotifierAPI]
type L3AgentNotifyAPI struct {
	client    *oslorpc.Client
	scheduler L3Scheduler
}

// NewL3AgentNotifyAPI returns the server's side. Without a scheduler, all agents serve all routers.
func NewL3AgentNotifyAPI(t *oslorpc.Transport, scheduler L3Scheduler, options ...oslorpc.ClientOption) *L3AgentNotifyAPI {
	return &L3AgentNotifyAPI{t.Client(oslorpc.Target{Topic: L3AgentTopic, Version: "1.0"}, options...), scheduler}
}

// AgentUpdated tells an agent whether it is enabled.
func (n *L3AgentNotifyAPI) AgentUpdated(ctx context.Context, adminStateUp bool, host string) error {
	return n.cast(ctx, host, "agent_updated", AgentUpdatedArgs{AgentUpdate{AdminStateUp: adminStateUp}})
}

// RouterDeleted tells all agents that a router was deleted.
func (n *L3AgentNotifyAPI) RouterDeleted(ctx context.Context, routerID string) error {
	return fanout(ctx, n.client, "router_deleted", RouterArgs{RouterID: routerID})
}

// RoutersUpdated tells agents that routers are new or have changed. It first assigns agents to
// routers that have none, and then notifies the agents of each router. It notifies them
// concurrently, so their order need not be shuffled.
func (n *L3AgentNotifyAPI) RoutersUpdated(ctx context.Context, routerIDs []string) error {
	if len(routerIDs) == 0 {
		return nil
	}
	if n.scheduler == nil {
		return fanout(ctx, n.client, "routers_updated", RoutersArgs{Routers: routerIDs})
	}
	if err := n.scheduler.ScheduleRouters(ctx, routerIDs); err != nil {
		return err
	}
	var failures []error
	for _, id := range routerIDs {
		agents, err := n.scheduler.L3AgentsHosting(ctx, id, false)
		failures = append(failures, err, toEach(agents, func(a Agent) error {
			c := n.client.Prepare(oslorpc.WithServer(a.Host), oslorpc.WithVersion("1.1"))
			return c.Cast(ctx, "routers_updated", RoutersArgs{Routers: []string{id}})
		}))
	}
	return errors.Join(failures...)
}

// RoutersUpdatedOnHost tells an agent that routers have changed.
func (n *L3AgentNotifyAPI) RoutersUpdatedOnHost(ctx context.Context, routerIDs []string, host string) error {
	return n.cast(ctx, host, "routers_updated", RoutersArgs{Routers: routerIDs})
}

// RouterRemovedFromAgent tells an agent that it no longer serves a router.
func (n *L3AgentNotifyAPI) RouterRemovedFromAgent(ctx context.Context, routerID, host string) error {
	return n.cast(ctx, host, "router_removed_from_agent", RouterRemovedArgs{RouterArgs{RouterID: routerID}})
}

// addAttempts is how many times RouterAddedToAgent calls an agent.
const addAttempts = 2

// RouterAddedToAgent tells an agent to serve routers. It is the only call from the server to an
// agent: if the agent did not get it, another agent must serve the routers. After any failure, it
// calls a second time. That does no harm, since the agent only reads the router again.
func (n *L3AgentNotifyAPI) RouterAddedToAgent(ctx context.Context, routerIDs []string, host string) error {
	c := n.client.Prepare(oslorpc.WithServer(host))
	var err error
	for range addAttempts {
		if _, err = oslorpc.Call[any](ctx, c, "router_added_to_agent", RoutersAddedArgs{Payload: routerIDs}); err == nil {
			return nil
		}
	}
	return err
}

// AddArpEntry tells all agents an address that a distributed router must know.
func (n *L3AgentNotifyAPI) AddArpEntry(ctx context.Context, routerID string, table ArpTable) error {
	return n.arp(ctx, "add_arp_entry", routerID, table)
}

// DelArpEntry tells all agents an address that a distributed router must forget.
func (n *L3AgentNotifyAPI) DelArpEntry(ctx context.Context, routerID string, table ArpTable) error {
	return n.arp(ctx, "del_arp_entry", routerID, table)
}

func (n *L3AgentNotifyAPI) arp(ctx context.Context, method, routerID string, table ArpTable) error {
	c := n.client.Prepare(oslorpc.WithVersion("1.2"))
	return fanout(ctx, c, method, ArpArgs{ArpEntry{RouterID: routerID, ArpTable: table}})
}

// DeleteFipNamespaceForExtNet tells all agents that an external network has no more floating IPs.
func (n *L3AgentNotifyAPI) DeleteFipNamespaceForExtNet(ctx context.Context, extNetID string) error {
	return fanout(ctx, n.client, "fipnamespace_delete_on_ext_net", ExtNetArgs{ExtNetID: extNetID})
}

func (n *L3AgentNotifyAPI) cast(ctx context.Context, host, method string, args any) error {
	return n.client.Prepare(oslorpc.WithServer(host)).Cast(ctx, method, args)
}

// The arguments of the methods of [L3AgentRPC].
type (
	// AgentUpdatedArgs are the arguments of agent_updated.
	AgentUpdatedArgs struct {
		Payload AgentUpdate `json:"payload"`
	}
	// AgentUpdate says whether an agent is enabled.
	AgentUpdate struct {
		AdminStateUp bool `json:"admin_state_up"`
	}
	// RouterArgs are the arguments of router_deleted.
	RouterArgs struct {
		RouterID string `json:"router_id"`
	}
	// RoutersArgs are the arguments of routers_updated.
	RoutersArgs struct {
		Routers []string `json:"routers"`
	}
	// RouterRemovedArgs are the arguments of router_removed_from_agent.
	RouterRemovedArgs struct {
		Payload RouterArgs `json:"payload"`
	}
	// RoutersAddedArgs are the arguments of router_added_to_agent.
	RoutersAddedArgs struct {
		Payload []string `json:"payload"`
	}
	// ArpArgs are the arguments of add_arp_entry and del_arp_entry.
	ArpArgs struct {
		Payload ArpEntry `json:"payload"`
	}
	// ArpEntry is an address that a router must know.
	ArpEntry struct {
		RouterID string   `json:"router_id"`
		ArpTable ArpTable `json:"arp_table"`
	}
	// ArpTable is an address with its owner.
	ArpTable struct {
		IPAddress  string `json:"ip_address"`
		MACAddress string `json:"mac_address"`
		SubnetID   string `json:"subnet_id"`
	}
	// NetworkUpdateArgs are the arguments of network_update.
	NetworkUpdateArgs struct {
		Network Network `json:"network"`
		oslorpc.Extra
	}
	// ExtNetArgs are the arguments of fipnamespace_delete_on_ext_net.
	ExtNetArgs struct {
		ExtNetID string `json:"ext_net_id"`
	}
)

// L3AgentRPC is the agent's side of [L3AgentNotifyAPI].
type L3AgentRPC interface {
	AgentUpdated(ctx context.Context, args AgentUpdatedArgs) error
	RouterDeleted(ctx context.Context, args RouterArgs) error
	RoutersUpdated(ctx context.Context, args RoutersArgs) error
	RouterRemovedFromAgent(ctx context.Context, args RouterRemovedArgs) error
	RouterAddedToAgent(ctx context.Context, args RoutersAddedArgs) error
	AddArpEntry(ctx context.Context, args ArpArgs) error
	DelArpEntry(ctx context.Context, args ArpArgs) error
	FipnamespaceDeleteOnExtNet(ctx context.Context, args ExtNetArgs) error
	NetworkUpdate(ctx context.Context, args NetworkUpdateArgs) error
}

// L3Agent returns the endpoint of an agent.
func L3Agent(agent L3AgentRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.4", Struct: oslorpc.Methods(struct{ L3AgentRPC }{agent}).
		Since("1.2", "AddArpEntry", "DelArpEntry").
		Since("1.3", "FipnamespaceDeleteOnExtNet").
		Since("1.4", "NetworkUpdate")}
}

// NetworkUpdateTopic is the topic for messages to L2 and L3 agents about changes of networks.
var NetworkUpdateTopic = TopicName(AgentTopic, "network", "update")

// NetworkNotifierAPI has the server's messages to L2 agents about networks. In Neutron it is
// AgentNotifierApi, whose other messages are not here.
type NetworkNotifierAPI struct{ client *oslorpc.Client }

// NewNetworkNotifierAPI returns the server's side.
func NewNetworkNotifierAPI(t *oslorpc.Transport, options ...oslorpc.ClientOption) *NetworkNotifierAPI {
	return &NetworkNotifierAPI{t.Client(oslorpc.Target{Topic: NetworkUpdateTopic, Version: "1.4"}, options...)}
}

// NetworkUpdate tells all agents that a network has changed.
func (n *NetworkNotifierAPI) NetworkUpdate(ctx context.Context, network Network) error {
	return fanout(ctx, n.client, "network_update", NetworkUpdateArgs{Network: network})
}

package neutronrpc

import (
	"context"
	"log/slog"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// MeteringPluginRPC is the agent's side of the metering API, from the agent to the server.
//
// API version history:
//
//	1.0 - Initial version
type MeteringPluginRPC struct {
	client *oslorpc.Client
	host   string
}

// NewMeteringPluginRPC returns the agent's side, for the agent on a host.
func NewMeteringPluginRPC(t *oslorpc.Transport, host string, options ...oslorpc.ClientOption) *MeteringPluginRPC {
	return &MeteringPluginRPC{t.Client(oslorpc.Target{Topic: MeteringPluginTopic, Version: "1.0"}, options...), host}
}

// GetSyncDataMetering returns the routers that the agent meters, with their labels. It returns
// false if the server cannot be reached now. That is only logged, since the agent continues with
// its data, and asks again.
func (a *MeteringPluginRPC) GetSyncDataMetering(ctx context.Context) ([]Router, bool) {
	routers, err := oslorpc.Call[[]Router](AdminContext(ctx), a.client, "get_sync_data_metering", HostArgs{Host: a.host})
	if err != nil {
		slog.ErrorContext(ctx, "the server did not tell what to meter", "error", err)
	}
	return routers, err == nil
}

// MeteringRPC is the server's side of [MeteringPluginRPC].
type MeteringRPC interface {
	GetSyncDataMetering(ctx context.Context, args HostArgs) ([]Router, error)
}

// MeteringRPCCallbacks returns the endpoint of a server.
func MeteringRPCCallbacks(server MeteringRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(struct{ MeteringRPC }{server})}
}

// MeteringAgentNotifyAPI is the server's side of the API from the server to metering agents. They
// are on the hosts of the L3 agents that serve the routers.
//
// API version history:
//
//	1.0 - Initial version
type MeteringAgentNotifyAPI struct {
	client    *oslorpc.Client
	scheduler L3Scheduler
}

// NewMeteringAgentNotifyAPI returns the server's side. Without a scheduler, all agents are notified
// about all routers.
func NewMeteringAgentNotifyAPI(t *oslorpc.Transport, scheduler L3Scheduler, options ...oslorpc.ClientOption) *MeteringAgentNotifyAPI {
	return &MeteringAgentNotifyAPI{t.Client(oslorpc.Target{Topic: MeteringAgentTopic, Version: "1.0"}, options...), scheduler}
}

// RouterDeleted tells all agents that a router was deleted.
func (n *MeteringAgentNotifyAPI) RouterDeleted(ctx context.Context, routerID string) error {
	return fanout(ctx, n.client, "router_deleted", RouterArgs{RouterID: routerID})
}

// RoutersUpdated tells agents that routers have changed.
func (n *MeteringAgentNotifyAPI) RoutersUpdated(ctx context.Context, routers []Router) error {
	return n.notify(ctx, "routers_updated", routers)
}

// UpdateMeteringLabelRules tells agents that the rules of labels have changed.
func (n *MeteringAgentNotifyAPI) UpdateMeteringLabelRules(ctx context.Context, routers []Router) error {
	return n.notify(ctx, "update_metering_label_rules", routers)
}

// AddMeteringLabelRule tells agents that labels have a new rule.
func (n *MeteringAgentNotifyAPI) AddMeteringLabelRule(ctx context.Context, routers []Router) error {
	return n.notify(ctx, "add_metering_label_rule", routers)
}

// RemoveMeteringLabelRule tells agents that a rule of labels was removed.
func (n *MeteringAgentNotifyAPI) RemoveMeteringLabelRule(ctx context.Context, routers []Router) error {
	return n.notify(ctx, "remove_metering_label_rule", routers)
}

// AddMeteringLabel tells agents about a new label.
func (n *MeteringAgentNotifyAPI) AddMeteringLabel(ctx context.Context, routers []Router) error {
	return n.notify(ctx, "add_metering_label", routers)
}

// RemoveMeteringLabel tells agents that a label was removed.
func (n *MeteringAgentNotifyAPI) RemoveMeteringLabel(ctx context.Context, routers []Router) error {
	return n.notify(ctx, "remove_metering_label", routers)
}

// RoutersUpdatedOnHost tells the agent of a host that routers have changed.
func (n *MeteringAgentNotifyAPI) RoutersUpdatedOnHost(ctx context.Context, routers []Router, host string) error {
	return n.cast(ctx, host, "routers_updated", routers)
}

// notify sends each agent one message, with the routers on its host.
func (n *MeteringAgentNotifyAPI) notify(ctx context.Context, method string, routers []Router) error {
	if n.scheduler == nil {
		return fanout(ctx, n.client, method, MeteringArgs{Routers: routers})
	}
	onHost := map[string][]Router{}
	var hosts []Agent // in the order of the routers
	for _, r := range routers {
		agents, err := n.scheduler.L3AgentsHosting(ctx, r.ID, true)
		if err != nil {
			return err
		}
		for _, a := range agents {
			if onHost[a.Host] == nil {
				hosts = append(hosts, a)
			}
			onHost[a.Host] = append(onHost[a.Host], r)
		}
	}
	return toEach(hosts, func(a Agent) error { return n.cast(ctx, a.Host, method, onHost[a.Host]) })
}

func (n *MeteringAgentNotifyAPI) cast(ctx context.Context, host, method string, routers []Router) error {
	return n.client.Prepare(oslorpc.WithServer(host)).Cast(ctx, method, MeteringArgs{Routers: routers})
}

// MeteringArgs are the arguments of the methods of [MeteringAgentRPC].
type MeteringArgs struct {
	Routers []Router `json:"routers"`
}

// MeteringAgentRPC is the agent's side of [MeteringAgentNotifyAPI].
type MeteringAgentRPC interface {
	RouterDeleted(ctx context.Context, args RouterArgs) error
	RoutersUpdated(ctx context.Context, args MeteringArgs) error
	UpdateMeteringLabelRules(ctx context.Context, args MeteringArgs) error
	AddMeteringLabelRule(ctx context.Context, args MeteringArgs) error
	RemoveMeteringLabelRule(ctx context.Context, args MeteringArgs) error
	AddMeteringLabel(ctx context.Context, args MeteringArgs) error
	RemoveMeteringLabel(ctx context.Context, args MeteringArgs) error
}

// MeteringAgent returns the endpoint of an agent.
func MeteringAgent(agent MeteringAgentRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(struct{ MeteringAgentRPC }{agent})}
}

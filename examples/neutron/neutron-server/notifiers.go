package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// notifiers notify agents of changes.
type notifiers struct {
	dhcp     *neutronrpc.DhcpAgentNotifyAPI
	l3       *neutronrpc.L3AgentNotifyAPI
	metering *neutronrpc.MeteringAgentNotifyAPI
	dvr      *neutronrpc.DVRAgentRPCAPIMixin
	push     *neutronrpc.ResourcesPushRPCAPI
}

// newNotifiers returns notifiers with short timeouts. Short timeouts are safe: an agent that is
// down reads everything when it starts again, and an agent that hangs learns later that it missed a
// message.
func newNotifiers(t *oslorpc.Transport, p *plugin, timeout time.Duration) notifiers {
	hints := []oslorpc.ClientOption{oslorpc.WithTimeout(timeout), oslorpc.WithFailFast(true)}
	return notifiers{
		dhcp:     neutronrpc.NewDhcpAgentNotifyAPI(t, p, hints...),
		l3:       neutronrpc.NewL3AgentNotifyAPI(t, p, hints...),
		metering: neutronrpc.NewMeteringAgentNotifyAPI(t, p, hints...),
		dvr:      neutronrpc.NewDVRAgentRPCAPIMixin(t, hints...),
		push:     neutronrpc.NewResourcesPushRPCAPI(t, hints...),
	}
}

// tell notifies agents of a change that was made, even if the caller no longer waits. If agents do
// not accept the message, that is logged, but it is not an error for the caller.
func tell(ctx context.Context, what string, notify func(context.Context) error) {
	if err := notify(context.WithoutCancel(ctx)); err != nil {
		slog.WarnContext(ctx, "agents were not told of a change", "changed", what, "error", err)
	}
}

// tellDhcp notifies DHCP agents of an event.
func (p *plugin) tellDhcp(ctx context.Context, data neutronrpc.DhcpPayload, event string) {
	tell(ctx, event, func(ctx context.Context) error { return p.notifiers.dhcp.Notify(ctx, data, event) })
}

// tellL3 notifies the L3 agents that serve a router that the router is new or has changed.
func (p *plugin) tellL3(ctx context.Context, routerID string) {
	tell(ctx, "router", func(ctx context.Context) error { return p.notifiers.l3.RoutersUpdated(ctx, []string{routerID}) })
}

// tellRemoved notifies the L3 agent of a host that it no longer serves a router.
func (p *plugin) tellRemoved(ctx context.Context, routerID, host string) {
	tell(ctx, "router", func(ctx context.Context) error { return p.notifiers.l3.RouterRemovedFromAgent(ctx, routerID, host) })
}

// tellKeepers notifies the agents that keep copies of networks.
func (p *plugin) tellKeepers(ctx context.Context, n neutronrpc.Network, event string) {
	tell(ctx, "network", func(ctx context.Context) error {
		return p.notifiers.push.Push(ctx, neutronrpc.NetworkType, []map[string]any{networkData(n)}, event)
	})
}

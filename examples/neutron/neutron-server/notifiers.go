package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// notifiers tell agents of changes.
type notifiers struct {
	dhcp     *neutronrpc.DhcpAgentNotifyAPI
	l3       *neutronrpc.L3AgentNotifyAPI
	metering *neutronrpc.MeteringAgentNotifyAPI
	dvr      *neutronrpc.DVRAgentRPCAPIMixin
	push     *neutronrpc.ResourcesPushRPCAPI
}

// newNotifiers returns notifiers that do not wait long. An agent that is away reads everything when it comes back, and one that
// hangs is told that it missed something.
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

// told logs what agents did not accept. The change was made all the same, and whoever asked for it is not to hear of an agent.
func told(ctx context.Context, what string, err error) {
	if err != nil {
		slog.WarnContext(ctx, "some agent was not told", "of", what, "error", err)
	}
}

// networkChanged tells the agents that keep copies of networks.
func (p *plugin) networkChanged(ctx context.Context, n neutronrpc.Network, event string) {
	told(ctx, "network", p.notifiers.push.Push(ctx, neutronrpc.NetworkType, []map[string]any{networkData(n)}, event))
}

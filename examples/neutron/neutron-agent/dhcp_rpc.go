package main

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// The methods below only add an update to the queue.

// NetworkCreateEnd announces a network to serve.
func (a *dhcpAgent) NetworkCreateEnd(ctx context.Context, args neutronrpc.DhcpPayloadArgs) error {
	return a.NetworkUpdateEnd(ctx, args)
}

// NetworkUpdateEnd announces that a network has changed.
func (a *dhcpAgent) NetworkUpdateEnd(_ context.Context, args neutronrpc.DhcpPayloadArgs) error {
	if n := args.Payload.Network; n != nil {
		a.queue.add(update{networkID: n.ID, payload: args.Payload, handle: a.refresh})
	}
	return nil
}

// NetworkDeleteEnd announces that a network was deleted, or that other agents serve it now.
func (a *dhcpAgent) NetworkDeleteEnd(_ context.Context, args neutronrpc.DhcpPayloadArgs) error {
	a.queue.add(update{networkID: args.Payload.NetworkID, payload: args.Payload, handle: func(ctx context.Context, u update) error {
		a.disable(ctx, u.networkID)
		return nil
	}})
	return nil
}

// SubnetCreateEnd announces a new subnet.
func (a *dhcpAgent) SubnetCreateEnd(ctx context.Context, args neutronrpc.DhcpPayloadArgs) error {
	return a.SubnetUpdateEnd(ctx, args)
}

// SubnetUpdateEnd announces that a subnet has changed.
func (a *dhcpAgent) SubnetUpdateEnd(_ context.Context, args neutronrpc.DhcpPayloadArgs) error {
	if s := args.Payload.Subnet; s != nil {
		a.queue.add(update{networkID: s.NetworkID, payload: args.Payload, handle: a.refresh})
	}
	return nil
}

// SubnetDeleteEnd announces that a subnet was deleted.
func (a *dhcpAgent) SubnetDeleteEnd(_ context.Context, args neutronrpc.DhcpPayloadArgs) error {
	a.queue.add(update{networkID: args.Payload.NetworkID, payload: args.Payload, handle: a.refresh})
	return nil
}

// PortCreateEnd announces a new port.
func (a *dhcpAgent) PortCreateEnd(ctx context.Context, args neutronrpc.DhcpPayloadArgs) error {
	return a.PortUpdateEnd(ctx, args)
}

// PortUpdateEnd announces that a port has changed.
func (a *dhcpAgent) PortUpdateEnd(_ context.Context, args neutronrpc.DhcpPayloadArgs) error {
	if p := args.Payload.Port; p != nil {
		a.queue.add(update{networkID: p.NetworkID, payload: args.Payload, handle: a.updatePort})
	}
	return nil
}

// PortDeleteEnd announces that a port was deleted.
func (a *dhcpAgent) PortDeleteEnd(_ context.Context, args neutronrpc.DhcpPayloadArgs) error {
	a.queue.add(update{networkID: args.Payload.NetworkID, payload: args.Payload, handle: func(_ context.Context, u update) error {
		a.forget(u.networkID, u.payload.PortID)
		return nil
	}})
	return nil
}

// AgentUpdated announces whether the agent is enabled.
func (a *dhcpAgent) AgentUpdated(context.Context, neutronrpc.DhcpPayloadArgs) error {
	a.request("it was enabled or disabled")
	return nil
}

// updatePort serves a port, and says how the agent serves it now: it may have read a later state
// before this message came. If the agent does not know the network, it asks for the network first.
func (a *dhcpAgent) updatePort(ctx context.Context, u update) error {
	p, known := a.serveKnown(u.networkID, *u.payload.Port)
	if !known {
		return a.refresh(ctx, u)
	}
	if p == nil {
		return nil
	}
	name := ""
	if p.DNSName != "" {
		name = " as " + p.DNSName
	}
	a.sayf("serves port %s at %s%s", p.ID, addresses(*p), name)
	return nil
}

// serveKnown calls serve if the agent serves the network. It returns the port as the agent serves
// it now, or nil if the port was deleted.
func (a *dhcpAgent) serveKnown(networkID string, p neutronrpc.Port) (now *neutronrpc.Port, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known = a.networks[networkID]; !known {
		return nil, false
	}
	a.serve(networkID, p)
	for _, served := range a.networks[networkID].Ports {
		if served.ID == p.ID {
			return &served, true
		}
	}
	return nil, true
}

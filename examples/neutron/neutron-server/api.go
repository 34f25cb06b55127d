package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// apiTopic is the topic to which operators send, for example with `oslorpc call neutron
// create_network name=blue`. It stands for Neutron's REST API.
const apiTopic = "neutron"

func apiEndpoint(p *plugin) oslorpc.Endpoint {
	methods := oslorpc.Methods(api{p})
	for _, method := range []string{
		"CreateNetwork", "DeleteNetwork", "CreatePort", "UpdatePort", "DeletePort", "AddRouterInterface", "AddRouterToAgent", "DeleteRouter",
		"CreateMeteringLabel", "SetAgent",
	} {
		methods = methods.Expect(method, oslorpc.ErrorType[*badRequest](),
			oslorpc.ErrorType[*neutronrpc.NetworkNotFound](), oslorpc.ErrorType[*neutronrpc.PortNotFound]())
	}
	return oslorpc.Endpoint{Version: "1.0", Struct: methods}
}

// badRequest is a mistake of the caller. Callers get it, and the server does not log it.
type badRequest struct {
	Reason string `json:"reason"`
}

func (e *badRequest) Error() string { return e.Reason }

func badRequestf(format string, args ...any) error { return &badRequest{fmt.Sprintf(format, args...)} }

// api has the methods for operators. Each makes a change and notifies the agents.
type api struct{ plugin *plugin }

type (
	networkArgs struct {
		Name string              `json:"name"`
		CIDR oslorpc.Opt[string] `json:"cidr"`
	}
	nameArgs struct {
		Name string `json:"name"`
	}
	idArgs struct {
		ID string `json:"id"`
	}
	portArgs struct {
		NetworkID string `json:"network_id"`
	}
	portNamesArgs struct {
		ID      string              `json:"id"`
		Name    oslorpc.Opt[string] `json:"name"`
		DNSName oslorpc.Opt[string] `json:"dns_name"`
	}
	interfaceArgs struct {
		RouterID  string `json:"router_id"`
		NetworkID string `json:"network_id"`
	}
	routerAgentArgs struct {
		RouterID string `json:"router_id"`
		Host     string `json:"host"`
	}
	labelArgs struct {
		RouterID       string `json:"router_id"`
		RemoteIPPrefix string `json:"remote_ip_prefix"`
	}
	setAgentArgs struct {
		Host         string `json:"host"`
		AgentType    string `json:"agent_type"`
		AdminStateUp bool   `json:"admin_state_up"`
	}
)

// defaultCIDR is the subnet of networks that are created without one.
const defaultCIDR = "10.0.0.0/24"

// CreateNetwork creates a network with a subnet. DHCP agents serve the network as soon as it has
// the subnet.
func (a api) CreateNetwork(ctx context.Context, args networkArgs) (neutronrpc.Network, error) {
	prefix, err := netip.ParsePrefix(args.CIDR.Or(defaultCIDR))
	if err != nil {
		return neutronrpc.Network{}, badRequestf("the cidr is no range of addresses, such as %s: %v", defaultCIDR, err)
	}
	if prefix.Addr().BitLen()-prefix.Bits() < 2 {
		return neutronrpc.Network{}, badRequestf("the cidr %s leaves no room for a gateway and ports", prefix)
	}
	n := neutronrpc.Network{ID: neutronrpc.NewID(), Name: args.Name, AdminStateUp: up, MTU: 1500, RevisionNumber: 1}
	s := neutronrpc.Subnet{
		ID: neutronrpc.NewID(), NetworkID: n.ID, EnableDhcp: up,
		CIDR: prefix.Masked().String(), GatewayIP: prefix.Masked().Addr().Next().String(),
	}
	a.plugin.putNetwork(n)
	a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Network: &n}, "network.create.end")
	a.plugin.tellKeepers(ctx, n, neutronrpc.ObjectCreated)

	n, err = a.plugin.addSubnet(s)
	if err != nil {
		return n, err
	}
	a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Subnet: &s}, "subnet.create.end")
	a.plugin.tellKeepers(ctx, n, neutronrpc.ObjectUpdated)
	return n, nil
}

// ListNetworks lists the networks.
func (a api) ListNetworks(ctx context.Context) ([]neutronrpc.Network, error) {
	return a.plugin.GetNetworks(ctx, neutronrpc.ListArgs{})
}

// DeleteNetwork deletes a network and its ports.
func (a api) DeleteNetwork(ctx context.Context, args idArgs) error {
	n, err := a.plugin.removeNetwork(args.ID)
	if err != nil {
		return err
	}
	a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Network: n}, "network.delete.end")
	a.plugin.tellKeepers(ctx, *n, neutronrpc.ObjectDeleted)
	return nil
}

// CreatePort creates a port. It is active as soon as a DHCP agent serves it.
func (a api) CreatePort(ctx context.Context, args portArgs) (*neutronrpc.Port, error) {
	port, err := a.plugin.addPort(neutronrpc.Port{NetworkID: args.NetworkID})
	if err != nil {
		return nil, err
	}
	a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Port: port}, "port.create.end")
	return port, nil
}

// UpdatePort sets the names of a port. DHCP agents are notified only of the DNS name, which
// concerns them.
func (a api) UpdatePort(ctx context.Context, args portNamesArgs) (*neutronrpc.Port, error) {
	before, after, err := a.plugin.changePort(args.ID, func(port *neutronrpc.Port) {
		port.Name, port.DNSName = args.Name.Or(port.Name), args.DNSName.Or(port.DNSName)
	})
	if err != nil {
		return nil, err
	}
	if neutronrpc.DhcpSees(*before, *after) {
		a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Port: after}, "port.update.end")
	}
	return after, nil
}

// DeletePort deletes a port.
func (a api) DeletePort(ctx context.Context, args idArgs) error {
	port, err := a.plugin.removePort(args.ID)
	if err != nil {
		return err
	}
	a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Port: port}, "port.delete.end")
	return nil
}

// CreateRouter creates a router. An L3 agent serves it, if there is one.
func (a api) CreateRouter(ctx context.Context, args nameArgs) (neutronrpc.Router, error) {
	r := neutronrpc.Router{ID: neutronrpc.NewID(), Name: args.Name, AdminStateUp: up, RevisionNumber: 1}
	a.plugin.putRouter(r)
	a.plugin.tellL3(ctx, r.ID)
	return r, nil
}

// AddRouterInterface makes a router the gateway of a network.
func (a api) AddRouterInterface(ctx context.Context, args interfaceArgs) (*neutronrpc.Port, error) {
	port, err := a.plugin.addInterface(args.RouterID, args.NetworkID)
	if err != nil {
		return nil, err
	}
	a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Port: port}, "port.create.end")
	a.plugin.tellL3(ctx, args.RouterID)
	return port, nil
}

// AddRouterToAgent moves a router to the L3 agent of a host. If that agent does not accept it, no
// agent serves the router, and the operator gets an error.
func (a api) AddRouterToAgent(ctx context.Context, args routerAgentArgs) error {
	before, err := a.plugin.bindRouter(args.RouterID, args.Host)
	if err != nil {
		return err
	}
	for _, host := range before {
		a.plugin.tellRemoved(ctx, args.RouterID, host)
	}
	if err := a.plugin.notifiers.l3.RouterAddedToAgent(ctx, []string{args.RouterID}, args.Host); err != nil {
		a.plugin.unbindRouter(args.RouterID, args.Host)
		a.plugin.tellRemoved(ctx, args.RouterID, args.Host) // it may have read it meanwhile
		return badRequestf("the router was not scheduled to %s: %v", args.Host, err)
	}
	return nil
}

// DeleteRouter deletes a router and its ports.
func (a api) DeleteRouter(ctx context.Context, args idArgs) error {
	ports, err := a.plugin.removeRouter(args.ID)
	if err != nil {
		return err
	}
	for _, port := range ports {
		a.plugin.tellDhcp(ctx, neutronrpc.DhcpPayload{Port: &port}, "port.delete.end")
	}
	tell(ctx, "router", func(ctx context.Context) error {
		return errors.Join(a.plugin.notifiers.l3.RouterDeleted(ctx, args.ID), a.plugin.notifiers.metering.RouterDeleted(ctx, args.ID))
	})
	return nil
}

// CreateMeteringLabel starts counting the traffic of a router.
func (a api) CreateMeteringLabel(ctx context.Context, args labelArgs) (neutronrpc.MeteringLabel, error) {
	label := neutronrpc.MeteringLabel{ID: neutronrpc.NewID(), Rules: []neutronrpc.MeteringRule{
		{ID: neutronrpc.NewID(), RemoteIPPrefix: args.RemoteIPPrefix, Direction: "ingress"},
	}}
	r, err := a.plugin.addLabel(args.RouterID, label)
	if err != nil {
		return label, err
	}
	tell(ctx, "label", func(ctx context.Context) error {
		return a.plugin.notifiers.metering.AddMeteringLabel(ctx, []neutronrpc.Router{r})
	})
	return label, nil
}

// SetAgent enables or disables an agent.
func (a api) SetAgent(ctx context.Context, args setAgentArgs) error {
	if err := a.plugin.enableAgent(agentKey{args.Host, args.AgentType}, args.AdminStateUp); err != nil {
		return err
	}
	tell(ctx, "agent", func(ctx context.Context) error {
		switch args.AgentType {
		case dhcpAgents:
			return a.plugin.notifiers.dhcp.AgentUpdated(ctx, args.AdminStateUp, args.Host)
		case l3Agents:
			return a.plugin.notifiers.l3.AgentUpdated(ctx, args.AdminStateUp, args.Host)
		}
		return nil
	})
	return nil
}

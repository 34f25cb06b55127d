package neutronrpc_test

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// These stand for the programs behind the endpoints. The tests check the messages, and ignore the
// results.
type (
	fakeDhcp          struct{}
	fakeMetadata      struct{}
	fakeDhcpAgent     struct{}
	fakeDVRServer     struct{}
	fakeDVRAgent      struct{}
	fakeL3            struct{}
	fakeL3Agent       struct{}
	fakeMetering      struct{}
	fakeMeteringAgent struct{}
	fakeServer        struct{}
	fakeReports       struct{}
	fakeResourcesPull struct{}
	fakeResourcesPush struct{}
)

func (fakeDhcp) GetActiveNetworksInfo(context.Context, neutronrpc.ActiveNetworksArgs) ([]neutronrpc.Network, error) {
	return nil, nil
}
func (fakeDhcp) GetNetworkInfo(context.Context, neutronrpc.NetworkArgs) (*neutronrpc.Network, error) {
	return nil, nil
}
func (fakeDhcp) CreateDhcpPort(context.Context, neutronrpc.CreatePortArgs) (*neutronrpc.Port, error) {
	return nil, nil
}
func (fakeDhcp) UpdateDhcpPort(context.Context, neutronrpc.UpdatePortArgs) (*neutronrpc.Port, error) {
	return nil, nil
}
func (fakeDhcp) ReleaseDhcpPort(context.Context, neutronrpc.ReleasePortArgs) error { return nil }
func (fakeDhcp) GetDhcpPort(context.Context, neutronrpc.PortArgs) (*neutronrpc.Port, error) {
	return nil, nil
}
func (fakeDhcp) DhcpReadyOnPorts(context.Context, neutronrpc.PortsArgs) error { return nil }
func (fakeDhcp) GetNetworks(context.Context, neutronrpc.ListArgs) ([]neutronrpc.Network, error) {
	return nil, nil
}

func (fakeMetadata) GetPorts(context.Context, neutronrpc.FilterArgs) ([]neutronrpc.Port, error) {
	return nil, nil
}

func (fakeDhcpAgent) NetworkCreateEnd(context.Context, neutronrpc.DhcpPayloadArgs) error { return nil }
func (fakeDhcpAgent) NetworkUpdateEnd(context.Context, neutronrpc.DhcpPayloadArgs) error { return nil }
func (fakeDhcpAgent) NetworkDeleteEnd(context.Context, neutronrpc.DhcpPayloadArgs) error { return nil }
func (fakeDhcpAgent) SubnetCreateEnd(context.Context, neutronrpc.DhcpPayloadArgs) error  { return nil }
func (fakeDhcpAgent) SubnetUpdateEnd(context.Context, neutronrpc.DhcpPayloadArgs) error  { return nil }
func (fakeDhcpAgent) SubnetDeleteEnd(context.Context, neutronrpc.DhcpPayloadArgs) error  { return nil }
func (fakeDhcpAgent) PortCreateEnd(context.Context, neutronrpc.DhcpPayloadArgs) error    { return nil }
func (fakeDhcpAgent) PortUpdateEnd(context.Context, neutronrpc.DhcpPayloadArgs) error    { return nil }
func (fakeDhcpAgent) PortDeleteEnd(context.Context, neutronrpc.DhcpPayloadArgs) error    { return nil }
func (fakeDhcpAgent) AgentUpdated(context.Context, neutronrpc.DhcpPayloadArgs) error     { return nil }

func (fakeDVRServer) GetDVRMACAddressByHost(context.Context, neutronrpc.HostArgs) (*neutronrpc.DVRMAC, error) {
	return nil, nil
}
func (fakeDVRServer) GetDVRMACAddressList(context.Context) ([]neutronrpc.DVRMAC, error) {
	return nil, nil
}
func (fakeDVRServer) GetPortsOnHostBySubnet(context.Context, neutronrpc.PortsOnHostArgs) ([]neutronrpc.Port, error) {
	return nil, nil
}
func (fakeDVRServer) GetSubnetForDVR(context.Context, neutronrpc.SubnetForDVRArgs) (*neutronrpc.Subnet, error) {
	return nil, nil
}

func (fakeDVRAgent) DVRMACAddressUpdate(context.Context, neutronrpc.DVRMACsArgs) error { return nil }

func (fakeL3) SyncRouters(context.Context, neutronrpc.SyncRoutersArgs) ([]neutronrpc.Router, error) {
	return nil, nil
}
func (fakeL3) GetRouterIDs(context.Context, neutronrpc.HostArgs) ([]string, error)       { return nil, nil }
func (fakeL3) UpdateAllHANetworkPortStatuses(context.Context, neutronrpc.HostArgs) error { return nil }
func (fakeL3) GetHostHARouterCount(context.Context, neutronrpc.HostArgs) (int, error)    { return 7, nil }
func (fakeL3) UpdateFloatingIPStatuses(context.Context, neutronrpc.FloatingIPStatusesArgs) error {
	return nil
}
func (fakeL3) GetPortsBySubnet(context.Context, neutronrpc.SubnetArgs) ([]neutronrpc.Port, error) {
	return nil, nil
}
func (fakeL3) GetAgentGatewayPort(context.Context, neutronrpc.GatewayArgs) (*neutronrpc.Port, error) {
	return nil, nil
}
func (fakeL3) DeleteAgentGatewayPort(context.Context, neutronrpc.GatewayArgs) error { return nil }
func (fakeL3) GetServicePluginList(context.Context) ([]string, error)               { return nil, nil }
func (fakeL3) GetNetworks(context.Context, neutronrpc.ListArgs) ([]neutronrpc.Network, error) {
	return nil, nil
}
func (fakeL3) UpdateHARoutersStates(context.Context, neutronrpc.HAStatesArgs) error { return nil }

func (fakeL3Agent) AgentUpdated(context.Context, neutronrpc.AgentUpdatedArgs) error { return nil }
func (fakeL3Agent) RouterDeleted(context.Context, neutronrpc.RouterArgs) error      { return nil }
func (fakeL3Agent) RoutersUpdated(context.Context, neutronrpc.RoutersArgs) error    { return nil }
func (fakeL3Agent) RouterRemovedFromAgent(context.Context, neutronrpc.RouterRemovedArgs) error {
	return nil
}
func (fakeL3Agent) RouterAddedToAgent(context.Context, neutronrpc.RoutersAddedArgs) error { return nil }
func (fakeL3Agent) AddArpEntry(context.Context, neutronrpc.ArpArgs) error                 { return nil }
func (fakeL3Agent) DelArpEntry(context.Context, neutronrpc.ArpArgs) error                 { return nil }
func (fakeL3Agent) NetworkUpdate(context.Context, neutronrpc.NetworkUpdateArgs) error     { return nil }
func (fakeL3Agent) FipnamespaceDeleteOnExtNet(context.Context, neutronrpc.ExtNetArgs) error {
	return nil
}

func (fakeMetering) GetSyncDataMetering(context.Context, neutronrpc.HostArgs) ([]neutronrpc.Router, error) {
	return nil, nil
}

func (fakeMeteringAgent) RouterDeleted(context.Context, neutronrpc.RouterArgs) error    { return nil }
func (fakeMeteringAgent) RoutersUpdated(context.Context, neutronrpc.MeteringArgs) error { return nil }
func (fakeMeteringAgent) UpdateMeteringLabelRules(context.Context, neutronrpc.MeteringArgs) error {
	return nil
}
func (fakeMeteringAgent) AddMeteringLabelRule(context.Context, neutronrpc.MeteringArgs) error {
	return nil
}
func (fakeMeteringAgent) RemoveMeteringLabelRule(context.Context, neutronrpc.MeteringArgs) error {
	return nil
}
func (fakeMeteringAgent) AddMeteringLabel(context.Context, neutronrpc.MeteringArgs) error { return nil }
func (fakeMeteringAgent) RemoveMeteringLabel(context.Context, neutronrpc.MeteringArgs) error {
	return nil
}

func (fakeServer) MyRemoteMethod(_ context.Context, args neutronrpc.MyRemoteMethodArgs) (string, error) {
	return args.Arg1 + args.Arg2, nil
}
func (fakeServer) MyRemoteMethod2(_ context.Context, args neutronrpc.MyRemoteMethod2Args) (string, error) {
	return args.Arg1 + args.Arg2.Or("-"), nil
}

func (fakeReports) HasAliveNeutronServer(context.Context) (bool, error) { return true, nil }
func (fakeReports) ReportState(context.Context, neutronrpc.ReportArgs) (string, error) {
	return neutronrpc.AgentAlive, nil
}
func (fakeReports) GetAgents(context.Context, neutronrpc.FilterArgs) ([]neutronrpc.Agent, error) {
	return nil, nil
}
func (fakeReports) DeleteAgent(context.Context, neutronrpc.AgentArgs) error { return nil }

func (fakeResourcesPull) Pull(context.Context, neutronrpc.PullArgs) (*neutronrpc.VersionedObject, error) {
	return nil, nil
}
func (fakeResourcesPull) BulkPull(context.Context, neutronrpc.BulkPullArgs) ([]neutronrpc.VersionedObject, error) {
	return nil, nil
}

func (fakeResourcesPush) Push(context.Context, neutronrpc.PushArgs) error { return nil }

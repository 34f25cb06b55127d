package neutronrpc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// RPCProxy is the base of client sides of 2013: it sends prepared messages to a topic that is given
// with each.
type RPCProxy struct {
	client *oslorpc.Client
	topic  oslorpc.Target
}

// Msg is a message: a method and its arguments.
type Msg struct {
	Method string
	Args   map[string]any
}

// NewRPCProxy returns a proxy with a default topic and a default version.
func NewRPCProxy(t *oslorpc.Transport, topic, version string, options ...oslorpc.ClientOption) *RPCProxy {
	target := oslorpc.Target{Topic: topic, Version: version}
	return &RPCProxy{t.Client(target, options...), target}
}

// HostTopic returns the target for a host on a topic. In 2013 it was the string "topic.host". Here
// the two names are separate, because both may have dots.
func HostTopic(topic, host string) oslorpc.Target { return oslorpc.Target{Topic: topic, Server: host} }

// MakeMsg returns a message.
func (*RPCProxy) MakeMsg(method string, args map[string]any) Msg { return Msg{method, args} }

// Cast sends a message to a topic, or to a host on it. The zero Target means the proxy's topic.
func (p *RPCProxy) Cast(ctx context.Context, msg Msg, topic oslorpc.Target) error {
	return p.to(topic).Cast(ctx, msg.Method, msg.Args)
}

// FanoutCast sends a message to all hosts on a topic. The zero Target means the proxy's topic.
func (p *RPCProxy) FanoutCast(ctx context.Context, msg Msg, topic oslorpc.Target) error {
	return fanout(ctx, p.to(topic), msg.Method, msg.Args)
}

func (p *RPCProxy) to(topic oslorpc.Target) *oslorpc.Client {
	if topic.Topic == "" {
		topic = p.topic
	}
	return p.client.Prepare(oslorpc.WithTopic(topic.Topic), oslorpc.WithServer(topic.Server))
}

// DhcpAgentNotifyAPI2013 is [DhcpAgentNotifyAPI] as it was in 2013, on an [RPCProxy]. Its messages
// have no priorities, messages about deleted resources only have the id, and agents that seem to be
// dead get none.
type DhcpAgentNotifyAPI2013 struct {
	*RPCProxy

	scheduler DhcpScheduler
}

// NewDhcpAgentNotifyAPI2013 returns the server's side. Without a scheduler, all agents serve all
// networks.
func NewDhcpAgentNotifyAPI2013(
	t *oslorpc.Transport, scheduler DhcpScheduler, options ...oslorpc.ClientOption,
) *DhcpAgentNotifyAPI2013 {
	return &DhcpAgentNotifyAPI2013{NewRPCProxy(t, DhcpAgentTopic, "1.0", options...), scheduler}
}

// Notify notifies agents of an event, as [DhcpAgentNotifyAPI.Notify] does.
func (n *DhcpAgentNotifyAPI2013) Notify(ctx context.Context, data DhcpPayload, event string) error {
	method, _, ok := methodOf(event)
	networkID := data.networkID()
	if !ok || networkID == "" {
		return nil
	}
	payload := any(data)
	if strings.HasSuffix(method, "_delete_end") {
		if data.id() == "" {
			return nil // there is nothing that an agent could look for
		}
		payload = map[string]string{data.kind() + "_id": data.id()}
	}
	if n.scheduler == nil || method == "network_delete_end" {
		return n.FanoutCast(ctx, n.makeMsg(method, payload), oslorpc.Target{})
	}
	return n.notifyHosting(ctx, method, networkID, payload)
}

func (n *DhcpAgentNotifyAPI2013) notifyHosting(ctx context.Context, method, networkID string, payload any) error {
	var failures error
	if method == "port_create_end" {
		added, err := n.scheduler.ScheduleNetwork(ctx, networkID, nil)
		if err != nil {
			return err
		}
		failures = toEach(added, func(a Agent) error { return n.NetworkAddedToAgent(ctx, networkID, a.Host) })
	}
	agents, err := n.scheduler.DhcpAgentsHosting(ctx, networkID, nil)
	if err != nil {
		return errors.Join(failures, err)
	}
	active := slices.DeleteFunc(slices.Clone(agents), func(a Agent) bool { return !a.Alive || !a.AdminStateUp })
	return errors.Join(failures, toEach(active, func(a Agent) error { return n.castTo(ctx, HostTopic(a.Topic, a.Host), method, payload) }))
}

// NetworkRemovedFromAgent tells an agent that it no longer serves a network.
func (n *DhcpAgentNotifyAPI2013) NetworkRemovedFromAgent(ctx context.Context, networkID, host string) error {
	return n.castTo(ctx, HostTopic(DhcpAgentTopic, host), "network_delete_end", DhcpPayload{NetworkID: networkID})
}

// NetworkAddedToAgent tells an agent to serve a network.
func (n *DhcpAgentNotifyAPI2013) NetworkAddedToAgent(ctx context.Context, networkID, host string) error {
	return n.castTo(ctx, HostTopic(DhcpAgentTopic, host), "network_create_end", DhcpPayload{Network: &Network{ID: networkID}})
}

// AgentUpdated tells an agent whether it is enabled.
func (n *DhcpAgentNotifyAPI2013) AgentUpdated(ctx context.Context, adminStateUp bool, host string) error {
	return n.castTo(ctx, HostTopic(DhcpAgentTopic, host), "agent_updated", DhcpPayload{AdminStateUp: oslorpc.Some(adminStateUp)})
}

func (n *DhcpAgentNotifyAPI2013) castTo(ctx context.Context, to oslorpc.Target, method string, payload any) error {
	return n.Cast(ctx, n.makeMsg(method, payload), to)
}

func (n *DhcpAgentNotifyAPI2013) makeMsg(method string, payload any) Msg {
	return n.MakeMsg(method, map[string]any{"payload": payload})
}

package neutronrpc

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// DhcpScheduler tells the notifier which agents serve which network.
type DhcpScheduler interface {
	// DhcpAgentsHosting returns the agents on some hosts that serve a network. Nil means all hosts.
	DhcpAgentsHosting(ctx context.Context, networkID string, hosts []string) ([]Agent, error)
	// ScheduleNetwork assigns a network to more agents, if it should have more, and returns them.
	ScheduleNetwork(ctx context.Context, networkID string, hosts []string) ([]Agent, error)
	// HostsOfSegment returns the hosts that are connected to a segment.
	HostsOfSegment(ctx context.Context, segmentID string) ([]string, error)
}

// DhcpAgentNotifyAPI is the server's side of the API from the server to DHCP agents. All its
// messages are casts with a payload, at version 1.0.
//
// An error says which agents did not accept a message. Callers need only log it: an agent that
// missed a message learns of that later (see oslorpc.WithMissedMessages) and reads everything
// again.
type DhcpAgentNotifyAPI struct {
	client    *oslorpc.Client
	scheduler DhcpScheduler
}

// NewDhcpAgentNotifyAPI returns the server's side. Without a scheduler, all agents serve all
// networks.
func NewDhcpAgentNotifyAPI(t *oslorpc.Transport, scheduler DhcpScheduler, options ...oslorpc.ClientOption) *DhcpAgentNotifyAPI {
	return &DhcpAgentNotifyAPI{t.Client(oslorpc.Target{Topic: DhcpAgentTopic, Version: "1.0"}, options...), scheduler}
}

// Notify notifies agents of an event, which is "create.end", "update.end" or "delete.end" of a
// network, subnet or port. The data must have that resource and nothing else. Other events and data
// do not concern agents, and are dropped.
func (n *DhcpAgentNotifyAPI) Notify(ctx context.Context, data DhcpPayload, event string) error {
	method, priority, ok := methodOf(event)
	networkID := data.networkID()
	if !ok || networkID == "" {
		return nil
	}
	payload := data
	if strings.HasSuffix(method, "_delete_end") {
		if data.id() == "" {
			return nil
		}
		payload = data.deleted()
	}
	payload = payload.with(priority)
	switch {
	case n.scheduler == nil || method == "network_delete_end":
		return n.fanout(ctx, method, payload)
	case method == "network_create_end":
		return nil // no agent serves it yet, and an operator may choose one
	default:
		return n.notifyHosting(ctx, method, networkID, data, payload)
	}
}

// notifyHosting notifies the agents that serve a network. If the network now needs agents, it
// assigns some first.
func (n *DhcpAgentNotifyAPI) notifyHosting(ctx context.Context, method, networkID string, data, payload DhcpPayload) error {
	hosts, err := n.candidates(ctx, data)
	if err != nil {
		return err
	}
	agents, err := n.scheduler.DhcpAgentsHosting(ctx, networkID, hosts)
	if err != nil {
		return err
	}
	var added []Agent
	if method == "subnet_create_end" || method == "port_create_end" && !data.reservesPort() {
		if added, err = n.scheduler.ScheduleNetwork(ctx, networkID, hosts); err != nil {
			return err
		}
	}
	all := append(slices.Clone(added), agents...)
	first := ""
	if method == "port_create_end" {
		first = anyEnabled(all)
	}
	return toEach(all, func(a Agent) error {
		if slices.Contains(added, a) {
			if err := n.NetworkAddedToAgent(ctx, networkID, a.Host); err != nil {
				return err // it reads everything when it is back
			}
		}
		if a.Host == first {
			return n.toEnabled(ctx, a, method, payload.with(PriorityPortCreateHigh))
		}
		return n.toEnabled(ctx, a, method, payload)
	})
}

// candidates returns the hosts that can serve the resource in the data, or nil if all can.
func (n *DhcpAgentNotifyAPI) candidates(ctx context.Context, data DhcpPayload) ([]string, error) {
	if data.Subnet == nil || data.Subnet.SegmentID == "" {
		return nil, nil
	}
	return n.scheduler.HostsOfSegment(ctx, data.Subnet.SegmentID)
}

// anyEnabled returns the host of an agent that is not disabled, if there is one.
func anyEnabled(agents []Agent) string {
	for _, i := range rand.Perm(len(agents)) {
		if agents[i].AdminStateUp {
			return agents[i].Host
		}
	}
	return ""
}

// toEnabled casts to an agent, on the topic that it reported, unless it is disabled. It also sends
// to an agent that seems to be dead, since its report may only be late.
func (n *DhcpAgentNotifyAPI) toEnabled(ctx context.Context, a Agent, method string, payload DhcpPayload) error {
	if !a.AdminStateUp {
		return nil
	}
	if !a.Alive {
		slog.WarnContext(ctx, "a DHCP agent that is told of a change has not reported for a while", "host", a.Host, "method", method)
	}
	return n.cast(ctx, a.Topic, a.Host, method, payload)
}

// NetworkRemovedFromAgent tells an agent that it no longer serves a network.
func (n *DhcpAgentNotifyAPI) NetworkRemovedFromAgent(ctx context.Context, networkID, host string) error {
	return n.cast(ctx, DhcpAgentTopic, host, "network_delete_end", DhcpPayload{NetworkID: networkID}.with(PriorityNetworkDelete))
}

// NetworkAddedToAgent tells an agent to serve a network. The agent then asks for the network.
func (n *DhcpAgentNotifyAPI) NetworkAddedToAgent(ctx context.Context, networkID, host string) error {
	return n.cast(ctx, DhcpAgentTopic, host, "network_create_end", DhcpPayload{Network: &Network{ID: networkID}}.with(PriorityNetworkCreate))
}

// AgentUpdated tells an agent whether it is enabled.
func (n *DhcpAgentNotifyAPI) AgentUpdated(ctx context.Context, adminStateUp bool, host string) error {
	return n.cast(ctx, DhcpAgentTopic, host, "agent_updated", DhcpPayload{AdminStateUp: oslorpc.Some(adminStateUp)})
}

func (n *DhcpAgentNotifyAPI) cast(ctx context.Context, topic, host, method string, payload DhcpPayload) error {
	return n.client.Prepare(oslorpc.WithTopic(topic), oslorpc.WithServer(host)).Cast(ctx, method, DhcpPayloadArgs{payload})
}

func (n *DhcpAgentNotifyAPI) fanout(ctx context.Context, method string, payload DhcpPayload) error {
	return fanout(ctx, n.client, method, DhcpPayloadArgs{payload})
}

// fanout sends to all agents. Its error says which did not accept the message.
func fanout(ctx context.Context, c *oslorpc.Client, method string, args any) error {
	report, err := c.Fanout(ctx, method, args)
	if err != nil {
		return err
	}
	return report.Err()
}

// toEach sends to agents concurrently, so that none waits for one that hangs.
func toEach(agents []Agent, send func(Agent) error) error {
	failures := make([]error, len(agents))
	var sending sync.WaitGroup
	for i, a := range agents {
		sending.Go(func() { failures[i] = send(a) })
	}
	sending.Wait()
	return errors.Join(failures...)
}

// DhcpPayloadArgs are the arguments of the methods of [DhcpAgentRPC].
type DhcpPayloadArgs struct {
	Payload DhcpPayload `json:"payload"`
}

// DhcpAgentRPC is the agent's side of [DhcpAgentNotifyAPI].
type DhcpAgentRPC interface {
	NetworkCreateEnd(ctx context.Context, args DhcpPayloadArgs) error
	NetworkUpdateEnd(ctx context.Context, args DhcpPayloadArgs) error
	NetworkDeleteEnd(ctx context.Context, args DhcpPayloadArgs) error
	SubnetCreateEnd(ctx context.Context, args DhcpPayloadArgs) error
	SubnetUpdateEnd(ctx context.Context, args DhcpPayloadArgs) error
	SubnetDeleteEnd(ctx context.Context, args DhcpPayloadArgs) error
	PortCreateEnd(ctx context.Context, args DhcpPayloadArgs) error
	PortUpdateEnd(ctx context.Context, args DhcpPayloadArgs) error
	PortDeleteEnd(ctx context.Context, args DhcpPayloadArgs) error
	AgentUpdated(ctx context.Context, args DhcpPayloadArgs) error
}

// DhcpAgent returns the endpoint of an agent.
func DhcpAgent(agent DhcpAgentRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(struct{ DhcpAgentRPC }{agent})}
}

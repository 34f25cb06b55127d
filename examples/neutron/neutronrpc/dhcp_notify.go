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

// DhcpScheduler is what the notifier has to know of who serves which network.
type DhcpScheduler interface {
	// DhcpAgentsHosting returns the agents that serve a network, of those on some hosts; nil is all
	// hosts.
	DhcpAgentsHosting(ctx context.Context, networkID string, hosts []string) ([]Agent, error)
	// ScheduleNetwork has further agents serve a network, if it should have more than it has, and
	// returns them.
	ScheduleNetwork(ctx context.Context, networkID string, hosts []string) ([]Agent, error)
	// HostsOfSegment returns the hosts that are connected to a segment.
	HostsOfSegment(ctx context.Context, segmentID string) ([]string, error)
}

// DhcpAgentNotifyAPI is the server's side of the API from the server to DHCP agents. All its
// messages are casts with a payload, of version 1.0.
//
// An error says which agents did not accept a message. There is nothing to do about it but to log
// it: an agent that missed a message is told so and reads everything anew.
type DhcpAgentNotifyAPI struct {
	client    *oslorpc.Client
	scheduler DhcpScheduler
}

// NewDhcpAgentNotifyAPI returns the server's side. Without a scheduler, all agents serve all
// networks.
func NewDhcpAgentNotifyAPI(t *oslorpc.Transport, scheduler DhcpScheduler, options ...oslorpc.ClientOption) *DhcpAgentNotifyAPI {
	return &DhcpAgentNotifyAPI{t.Client(oslorpc.Target{Topic: DhcpAgentTopic, Version: "1.0"}, options...), scheduler}
}

// Notify tells agents of an event, which is "create.end", "update.end" or "delete.end" of a
// network, subnet or port. The data has that resource and nothing else. Other events and data are
// none of the agents' business, and dropped.
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

// notifyHosting tells the agents that serve a network, after it has found some for a network that
// begins to need them.
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

// candidates returns the hosts that can serve what the data is about; nil if all can.
func (n *DhcpAgentNotifyAPI) candidates(ctx context.Context, data DhcpPayload) ([]string, error) {
	if data.Subnet == nil || data.Subnet.SegmentID == "" {
		return nil, nil
	}
	return n.scheduler.HostsOfSegment(ctx, data.Subnet.SegmentID)
}

// anyEnabled returns the host of one of the agents that are not disabled, if there is one.
func anyEnabled(agents []Agent) string {
	for _, i := range rand.Perm(len(agents)) {
		if agents[i].AdminStateUp {
			return agents[i].Host
		}
	}
	return ""
}

// toEnabled casts to an agent, on the topic that it reported, unless it is disabled. One that seems
// to be dead is sent to as well: it may only be late with its report.
func (n *DhcpAgentNotifyAPI) toEnabled(ctx context.Context, a Agent, method string, payload DhcpPayload) error {
	if !a.AdminStateUp {
		return nil
	}
	if !a.Alive {
		slog.WarnContext(ctx, "a DHCP agent that is told of a change has not reported for a while", "host", a.Host, "method", method)
	}
	return n.cast(ctx, a.Topic, a.Host, method, payload)
}

// NetworkRemovedFromAgent tells an agent that it serves a network no longer.
func (n *DhcpAgentNotifyAPI) NetworkRemovedFromAgent(ctx context.Context, networkID, host string) error {
	return n.cast(ctx, DhcpAgentTopic, host, "network_delete_end", DhcpPayload{NetworkID: networkID}.with(PriorityNetworkDelete))
}

// NetworkAddedToAgent tells an agent to serve a network, which it then asks for.
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

// fanout sends to all agents; its error says which did not accept.
func fanout(ctx context.Context, c *oslorpc.Client, method string, args any) error {
	report, err := c.Fanout(ctx, method, args)
	if err != nil {
		return err
	}
	return report.Err()
}

// toEach sends to agents side by side, so that none has to wait for one that hangs.
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

package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
)

// These are the types of agents.
const (
	dhcpAgents = "DHCP agent"
	l3Agents   = "L3 agent"
)

// agentKey identifies an agent: there is one of each type on a host.
type agentKey struct{ host, agentType string }

// agent is what the server has stored about an agent.
type agent struct {
	neutronrpc.Agent

	reported time.Time
}

// now returns the current state of the agent: one that has not reported for a while is not alive.
func (p *plugin) now(a *agent) neutronrpc.Agent {
	current := a.Agent
	current.Alive = time.Since(a.reported) < p.agentDownTime
	return current
}

// enabled reports whether an agent has reported and is not disabled. The caller holds the lock.
func (p *plugin) enabled(host, agentType string) bool {
	a := p.agents[agentKey{host, agentType}]
	return a != nil && a.AdminStateUp
}

// HasAliveNeutronServer shows that a server is alive.
func (*plugin) HasAliveNeutronServer(context.Context) (bool, error) { return true, nil }

// ReportState handles the report of an agent. If the agent was considered dead, the answer says so,
// and the agent reads everything again.
func (p *plugin) ReportState(_ context.Context, args neutronrpc.ReportArgs) (string, error) {
	state := args.AgentState.AgentState
	key := agentKey{state.Host, state.AgentType}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.agents[key]
	if known == nil {
		p.agents[key] = &agent{reported: time.Now(), Agent: neutronrpc.Agent{
			ID: neutronrpc.NewID(), AgentType: state.AgentType, Binary: state.Binary, Host: state.Host, Topic: state.Topic, AdminStateUp: true,
		}}
		return neutronrpc.AgentNew, nil
	}
	dead := !p.now(known).Alive
	known.reported = time.Now()
	if dead {
		return neutronrpc.AgentRevived, nil
	}
	return neutronrpc.AgentAlive, nil
}

// GetAgents lists agents, filtered by the values of some fields.
func (p *plugin) GetAgents(_ context.Context, args neutronrpc.FilterArgs) ([]neutronrpc.Agent, error) {
	return p.agentsWhere(func(a neutronrpc.Agent) bool {
		return passes(args.Filters, map[string]any{
			"host": a.Host, "agent_type": a.AgentType, "alive": a.Alive, "admin_state_up": a.AdminStateUp,
		})
	}), nil
}

// DeleteAgent removes an agent. If it reports again, it counts as new.
func (p *plugin) DeleteAgent(_ context.Context, args neutronrpc.AgentArgs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.agents, agentKey{args.Host, args.AgentType})
	return nil
}

// agentsWhere returns the agents for which pass returns true, in the order of their hosts.
func (p *plugin) agentsWhere(pass func(neutronrpc.Agent) bool) []neutronrpc.Agent {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := []neutronrpc.Agent{}
	for _, a := range p.agents {
		if current := p.now(a); pass(current) {
			found = append(found, current)
		}
	}
	slices.SortFunc(found, func(a, b neutronrpc.Agent) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.AgentType, b.AgentType))
	})
	return found
}

// DhcpAgentsHosting returns the DHCP agents that serve a network.
func (p *plugin) DhcpAgentsHosting(_ context.Context, networkID string, hosts []string) ([]neutronrpc.Agent, error) {
	serving := p.hostsOf(p.dhcpHosts, networkID)
	return p.agentsWhere(func(a neutronrpc.Agent) bool {
		return a.AgentType == dhcpAgents && slices.Contains(serving, a.Host) && (hosts == nil || slices.Contains(hosts, a.Host))
	}), nil
}

// hostsOf returns the hosts that serve a network or a router.
func (p *plugin) hostsOf(bindings map[string][]string, id string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(bindings[id])
}

// ScheduleNetwork assigns a network to more live DHCP agents, until there are enough, and returns
// them.
func (p *plugin) ScheduleNetwork(_ context.Context, networkID string, hosts []string) ([]neutronrpc.Agent, error) {
	free := p.agentsWhere(func(a neutronrpc.Agent) bool {
		return a.AgentType == dhcpAgents && a.Alive && a.AdminStateUp && (hosts == nil || slices.Contains(hosts, a.Host))
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.networks[networkID] == nil {
		return nil, nil // it was deleted in the meantime
	}
	serving := p.dhcpHosts[networkID]
	free = slices.DeleteFunc(free, func(a neutronrpc.Agent) bool { return slices.Contains(serving, a.Host) })
	slices.SortStableFunc(free, func(a, b neutronrpc.Agent) int { return cmp.Compare(p.load(a.Host), p.load(b.Host)) })
	free = free[:min(len(free), max(0, p.agentsPerNetwork-len(serving)))]
	for _, a := range free {
		p.dhcpHosts[networkID] = append(p.dhcpHosts[networkID], a.Host)
	}
	return free, nil
}

// load returns how many networks a host serves. The caller holds the lock.
func (p *plugin) load(host string) int {
	n := 0
	for hosts := range maps.Values(p.dhcpHosts) {
		if slices.Contains(hosts, host) {
			n++
		}
	}
	return n
}

// HostsOfSegment returns all hosts, because here a segment is connected to all of them.
func (p *plugin) HostsOfSegment(context.Context, string) ([]string, error) { return nil, nil }

package neutronrpc

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// These are the answers of a server to a report.
const (
	// AgentNew means that the server did not know the agent before.
	AgentNew = "new"
	// AgentAlive means that the agent reports regularly.
	AgentAlive = "alive"
	// AgentRevived means that the server had considered the agent dead. The agent must read
	// everything again.
	AgentRevived = "revived"
)

// DefaultReportInterval is the default interval of reports.
const DefaultReportInterval = 30 * time.Second

// AgentState is an agent's report about itself.
type AgentState struct {
	AgentType      string         `json:"agent_type"`
	Binary         string         `json:"binary"`
	Host           string         `json:"host"`
	Topic          string         `json:"topic"`
	Configurations map[string]any `json:"configurations"`
	// StartFlag is set in the first report after the agent's start.
	StartFlag bool `json:"start_flag,omitzero"`
	// UUID identifies the report.
	UUID  string        `json:"uuid"`
	Extra oslorpc.Extra `json:",embed"`
}

// PluginReportStateAPI is the agent's side of the API for reports.
//
// API version history:
//
//	1.0 - Initial version
//	1.1 - report_state returns the server's view of the agent
//	1.2 - Added has_alive_neutron_server
//	1.4 - Added get_agents and delete_agent
//
// It asks for 1.4, as Neutron's class does: servers are upgraded before agents.
type PluginReportStateAPI struct {
	client   *oslorpc.Client
	interval time.Duration
}

// NewPluginReportStateAPI returns the agent's side, for an agent that reports once per interval.
func NewPluginReportStateAPI(t *oslorpc.Transport, interval time.Duration, options ...oslorpc.ClientOption) *PluginReportStateAPI {
	return &PluginReportStateAPI{t.Client(oslorpc.Target{Topic: ReportsTopic, Version: "1.4"}, options...), interval}
}

// HasAliveNeutronServer returns nil if a server answers. An agent waits for that at its start.
func (a *PluginReportStateAPI) HasAliveNeutronServer(ctx context.Context) error {
	_, err := oslorpc.Call[bool](AdminContext(ctx), a.client, "has_alive_neutron_server", nil)
	return err
}

// ReportState reports, and returns the server's view of the agent: [AgentNew], [AgentAlive] or
// [AgentRevived]. It waits for one interval, even after timeouts: the next report does the same.
func (a *PluginReportStateAPI) ReportState(ctx context.Context, state AgentState) (string, error) {
	c := a.client.Prepare(oslorpc.WithTimeout(a.interval)) // a fixed timeout, in place of the backoff
	return oslorpc.Call[string](AdminContext(ctx), c, "report_state", newReport(state))
}

// CastState reports without waiting for an answer.
func (a *PluginReportStateAPI) CastState(ctx context.Context, state AgentState) error {
	return a.client.Cast(AdminContext(ctx), "report_state", newReport(state))
}

// GetAgents lists the agents that the server knows.
func (a *PluginReportStateAPI) GetAgents(ctx context.Context, filters map[string][]any) ([]Agent, error) {
	return oslorpc.Call[[]Agent](AdminContext(ctx), a.admin(), "get_agents", FilterArgs{filters})
}

// DeleteAgent makes the server forget an agent.
func (a *PluginReportStateAPI) DeleteAgent(ctx context.Context, host, agentType string) error {
	_, err := oslorpc.Call[any](AdminContext(ctx), a.admin(), "delete_agent", AgentArgs{Host: host, AgentType: agentType})
	return err
}

func (a *PluginReportStateAPI) admin() *oslorpc.Client {
	return a.client.Prepare(oslorpc.WithTimeout(a.interval))
}

// The arguments of the methods of [ReportsRPC].
type (
	// ReportArgs are the arguments of report_state.
	ReportArgs struct {
		AgentState ReportedState `json:"agent_state"`
		// Time is when the agent sent the report, in UTC.
		Time string `json:"time"`
		oslorpc.Extra
	}
	// ReportedState has the state, one level deeper, in the form of a request body of the REST API.
	ReportedState struct {
		AgentState AgentState `json:"agent_state"`
	}
	// AgentArgs are the arguments of delete_agent.
	AgentArgs struct {
		Host      string `json:"host"`
		AgentType string `json:"agent_type"`
		oslorpc.Extra
	}
)

func newReport(state AgentState) ReportArgs {
	state.UUID = NewID()
	return ReportArgs{AgentState: ReportedState{state}, Time: time.Now().UTC().Format("2006-01-02T15:04:05.000000")}
}

// ReportsRPC is the server's side of [PluginReportStateAPI].
type ReportsRPC interface {
	HasAliveNeutronServer(ctx context.Context) (bool, error)
	ReportState(ctx context.Context, args ReportArgs) (string, error)
	GetAgents(ctx context.Context, args FilterArgs) ([]Agent, error)
	DeleteAgent(ctx context.Context, args AgentArgs) error
}

// AgentExtRPCCallback returns the endpoint of a server.
func AgentExtRPCCallback(server ReportsRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.4", Struct: oslorpc.Methods(struct{ ReportsRPC }{server}).
		Since("1.2", "HasAliveNeutronServer").
		Since("1.4", "GetAgents", "DeleteAgent")}
}

package neutronrpc

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// These are the topics of the servers and of the agents.
const (
	PluginTopic         = "q-plugin"
	ReportsTopic        = "q-reports-plugin"
	L3PluginTopic       = "q-l3-plugin"
	MeteringPluginTopic = "q-metering-plugin"

	DhcpAgentTopic     = "dhcp_agent"
	L3AgentTopic       = "l3_agent"
	MeteringAgentTopic = "metering_agent"
	// AgentTopic is the prefix of the topics on which L2 agents listen, see [TopicName].
	AgentTopic = "q-agent-notifier"
)

// TopicName returns the topic for events of a table's rows, such as "q-agent-notifier-dvr-update".
func TopicName(prefix, table, operation string) string {
	return prefix + "-" + table + "-" + operation
}

// Open opens a transport with the error types of this package, for clients and servers. It
// corresponds to neutron_lib.rpc.init.
func Open(url string, options ...oslorpc.TransportOption) (*oslorpc.Transport, error) {
	return oslorpc.Open(url, append(ErrorTypes(), options...)...)
}

// ErrorTypes registers the errors that arrive as Go errors, under the names of Neutron's
// exceptions.
func ErrorTypes() []oslorpc.TransportOption {
	return []oslorpc.TransportOption{
		oslorpc.WithErrorType[*NetworkNotFound]("NetworkNotFound"),
		oslorpc.WithErrorType[*PortNotFound]("PortNotFound"),
		oslorpc.WithErrorType[*IPAddressGenerationFailure]("IpAddressGenerationFailure"),
	}
}

// NetworkNotFound says that there is no such network, for example because it was just deleted.
type NetworkNotFound struct {
	NetworkID string `json:"network_id"`
}

// Error implements error.
func (e *NetworkNotFound) Error() string { return "network " + e.NetworkID + " could not be found" }

// PortNotFound says that there is no such port.
type PortNotFound struct {
	PortID string `json:"port_id"`
}

// Error implements error.
func (e *PortNotFound) Error() string { return "port " + e.PortID + " could not be found" }

// IPAddressGenerationFailure says that a network has no address left.
type IPAddressGenerationFailure struct {
	NetworkID string `json:"network_id"`
}

// Error implements error.
func (e *IPAddressGenerationFailure) Error() string {
	return "no more IP addresses available on network " + e.NetworkID
}

// AdminContext returns ctx with the request context of a program that acts on its own behalf. It
// has all rights and a new request id, by which operators can match the logs of both programs.
func AdminContext(ctx context.Context) context.Context {
	return oslorpc.WithContext(ctx, oslorpc.RequestContext{"is_admin": true, "request_id": "req-" + NewID()})
}

// NewID returns a random UUID.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

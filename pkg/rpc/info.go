package rpc

import "time"

// Info is what a process reports about itself and its servers.
type Info struct {
	// BootID identifies this run of the process. A restart changes it.
	BootID string
	// ProcessID is the process id of the operating system.
	ProcessID int
	// Build is the module version of the program; "(devel)" if it was built from a work tree.
	Build string
	// Uptime is the time since the process opened its transport.
	Uptime time.Duration
	// Zone is where the process runs, such as an availability zone. It is empty if unknown.
	Zone string
	// Servers are the servers of the process, in the order in which they started.
	Servers []ServerInfo
	// Policy is the policy in force. It is nil if there is none, or if the caller may not inspect
	// the whole process.
	Policy *PolicyInfo
	// Limits count what the process refused because of its limits, ordered by reason. It is empty
	// if the process refused nothing, or if the caller may not inspect the whole process.
	Limits []LimitInfo
	// Sessions describes the sessions that callers have. It is nil if there are none, or if the
	// caller may not inspect the whole process.
	Sessions *SessionsInfo
	// Gateway is what the process forwards. It is nil unless the process is a gateway.
	Gateway *GatewayInfo
}

// GatewayInfo counts what a gateway forwards.
type GatewayInfo struct {
	// Forwarding is how many forwarded messages still wait for an answer.
	Forwarding int64
	// Forwarded is how many messages the gateway forwarded since its start. Failed is how many of
	// them failed; errors that methods returned do not count.
	Forwarded, Failed int64
	// Watches is the number of watches of clients: one for each client and topic.
	Watches int64
	// Attached is how many processes are attached to the gateway.
	Attached int64
}

// SessionsInfo describes the sessions of a process: streams that carry many messages.
type SessionsInfo struct {
	// Open is how many sessions have a stream. Lost is how many sessions lost their stream and are
	// kept until their clients connect again.
	Open, Lost int64
	// Running is how many messages the sessions received and have not answered. Kept is how many
	// results they keep until the clients have received them.
	Running, Kept int64
	// Credit is how many unanswered messages each session may have.
	Credit int64
}

// PolicyInfo describes the policy of a process: which callers may send what.
type PolicyInfo struct {
	// DryRun is true if messages that no rule allows are counted but not denied.
	DryRun bool
	// Since is when the policy came into force, by the clock of the server.
	Since time.Time
	// Rules are its rules, in their order.
	Rules []RuleInfo
	// Denied is how many messages the process has denied since it began to listen. WouldDeny is how
	// many it would have denied without the dry run.
	Denied, WouldDeny int64
	// Problem is why the policy file, as it is now, is not in force. It is empty if the file is in
	// force, or if there is no file.
	Problem string
}

// RuleInfo describes a rule of a policy.
type RuleInfo struct {
	// Name is the rule's name; "rule 1" and so on for a rule without a name.
	Name string
	// Allowed is how often the rule allowed something since the process began to listen. It
	// includes the time when the rule belonged to an earlier policy.
	Allowed int64
}

// LimitInfo counts what the process refused because of one limit.
type LimitInfo struct {
	// Reason is the limit in words, such as "too many connections".
	Reason string
	// Refused is how many messages or connections were refused.
	Refused int64
}

// ServerInfo describes one server of a process.
type ServerInfo struct {
	// InstanceID is the ID of the server's [Instance].
	InstanceID string
	// Exchange, Topic and Server name what the server serves.
	Exchange, Topic, Server string
	// State says which messages the server accepts.
	State State
	// Endpoints are its endpoints, in the order in which the server tries them.
	Endpoints []EndpointInfo
	// Running is how many messages run now. Queued is how many accepted messages wait for a worker.
	Running, Queued int64
	// Refused is how many messages the server has refused because its queue was full.
	Refused int64
	// Requests counts the messages since the server started, ordered by namespace, method, version
	// and caller. It is empty unless the caller asked for it. It has at most 1024 rows.
	Requests []RequestCount
	// Uncounted is how many messages Requests does not include because all its rows were taken.
	Uncounted int64
}

// EndpointInfo describes one endpoint of a server.
type EndpointInfo struct {
	// Namespaces are the namespaces that the endpoint serves, its own first and its legacy
	// namespaces after it. The empty string is the default namespace.
	Namespaces []string
	// Version is the version that the endpoint implements.
	Version Version
	// Methods are its methods, ordered by name.
	Methods []MethodInfo
	// Fallback handles the methods that Methods does not list, as in a proxy. Its name is empty. It
	// is nil if the endpoint refuses such methods.
	Fallback *MethodInfo
	// Since is the version in which the endpoint appeared. DeprecatedSince is the version in which
	// the whole endpoint became deprecated. Either is zero if the server does not report it.
	Since, DeprecatedSince Version
	// Service is the full protobuf name of a typed service. It is empty for other endpoints.
	Service string
}

// MethodInfo describes a method of an endpoint.
type MethodInfo struct {
	// Name is the method's name in messages. It is empty for a fallback.
	Name string
	// Streaming is true if the method yields a stream of items.
	Streaming bool
	// Arguments are the method's keyword arguments, in the order of their declaration.
	Arguments []ArgumentInfo
	// ExtraArguments is true if the method accepts further keyword arguments of any name.
	ExtraArguments bool
	// Result is the type of the method's result, or of its items, written as in
	// [ArgumentInfo.Type]. It is "null" if the method returns nothing.
	Result string
	// Started is how many messages have started the method. Failed is how many times it returned an
	// error.
	Started, Failed int64
	// Since is the version in which the method appeared. DeprecatedSince is the version in which it
	// became deprecated. Either is zero if the server does not report it.
	Since, DeprecatedSince Version
}

// ArgumentInfo describes a keyword argument of a method.
type ArgumentInfo struct {
	// Name is the argument's name. Names are compared exactly, with upper and lower case.
	Name string
	// Type is the JSON type: "string", "integer", "number", "boolean", "object", "any", or "array
	// of" one of these.
	Type string
	// Optional is true if the argument may be absent.
	Optional bool
}

// RequestCount counts the messages of one caller for one method at one version.
type RequestCount struct {
	// Namespace is the requested namespace; empty for the default namespace.
	Namespace string
	// Method is the requested method.
	Method string
	// Version is the requested version; 1.0 for messages without one.
	Version Version
	// Caller is the name that the caller gives itself. Nothing proves it. It is "unknown" for
	// callers without a name. It is "(others)" for callers that were counted together because all
	// rows were taken.
	Caller string
	// Identity is the first name that the caller proved; see [Identity]. It is empty for callers
	// that proved nothing, and "(others)" for callers that were counted together.
	Identity string
	// Accepted is how many messages the server accepted, whatever their outcome.
	Accepted int64
	// Refused is how many messages the server refused because no endpoint has the version or the
	// method.
	Refused int64
	// FirstSeen is when the first of these messages arrived, and LastSeen when the last arrived.
	// They are exact to a second, by the clock of the server.
	FirstSeen, LastSeen time.Time
}

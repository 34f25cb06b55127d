package trust

import "github.com/oslorpc/oslorpc/pkg/rpc"

// Policy says which callers may send what to the servers of a program. It lists what is allowed. A
// message that no rule allows is denied with [rpc.AccessDenied] before any of it runs.
// docs/policy.md has the details.
//
// A policy comes from File or from Rules.
type Policy struct {
	// File is the path of a policy file. It is read when a server starts, and again within seconds
	// of a change. A changed file that cannot be read is logged, and the earlier policy stays in
	// force. With File, DryRun and Rules must not be set. Empty means that Rules apply.
	File string
	// DryRun only logs and counts the messages that no rule allows, instead of denying them.
	DryRun bool
	// Rules list what is allowed. Without File and rules, everything is denied.
	Rules []Rule
}

// Rule allows messages. A message must match every field that is set. A field matches if one of its
// patterns does. In a pattern, * stands for any number of any characters.
type Rule struct {
	// Name is the name of the rule in logs, counts and explanations. Names are unique. Empty means
	// "rule N", with N counted from 1.
	Name string
	// From are the callers: patterns of the names in [rpc.Identity], or "anyone" for all callers,
	// also callers that proved nothing. A * ends at a dot in names that begin with "dns:", and at a
	// slash in others. ** stands for any characters. From is required.
	From []string
	// Exchange, Topic, Namespace, Server and Method are patterns of the receiver. Nil means any.
	// The empty string is the default namespace.
	Exchange, Topic, Namespace, Server, Method []string
	// Delivery lists the allowed deliveries: [rpc.DeliveryCall], [rpc.DeliveryCast],
	// [rpc.DeliveryMulticall], [rpc.DeliveryStream] or [rpc.DeliveryInspect]. Servers see each copy
	// of a fanout as a cast, and each copy of a gather as a call. At a gateway,
	// [rpc.DeliveryAttach] allows a process to attach servers. Nil means all but DeliveryAttach.
	Delivery []rpc.Delivery
	// Services are patterns of plain gRPC services, such as "grpc.health.v1.Health", or of their
	// methods, such as "grpc.health.v1.Health/Check". A rule with Services allows nothing else. Its
	// fields from Exchange to Delivery must be nil.
	Services []string
}

package trust

import "github.com/oslorpc/oslorpc/pkg/rpc"

// Policy says which callers may send what to the servers of a program. It is a list of what is
// allowed: a message that no rule allows is denied with [rpc.AccessDenied] before anything of it
// runs. docs/policy.md has the details.
//
// A policy is in a file, or in Rules.
type Policy struct {
	// File is the path of a policy file. It is read when a server starts, and again within seconds
	// of a change. A change that cannot be read is logged, and the policy stays as it was. DryRun
	// and Rules must be unset beside it. Empty means that the policy is in Rules.
	File string
	// DryRun logs and counts what the rules deny, and lets it pass.
	DryRun bool
	// Rules are what is allowed. Without any, everything is denied.
	Rules []Rule
}

// Rule allows messages. A message must match each field that is set. A field matches if one of its
// patterns does; * stands for any characters, also for none.
type Rule struct {
	// Name is how logs, counts and explanations name the rule. Names are unique. Empty means "rule
	// N", with N counted from 1.
	Name string
	// From are the callers: patterns of the names in [rpc.Identity], or "anyone" for all callers,
	// also those that proved nothing. A * ends at a dot in the names that begin with "dns:" and at
	// a slash in others; ** stands for any characters. It is required.
	From []string
	// Exchange, Topic, Namespace, Server and Method are patterns of the receiver. Nil means any.
	// The empty text is the default namespace.
	Exchange, Topic, Namespace, Server, Method []string
	// Delivery is how messages come: [rpc.DeliveryCall], [rpc.DeliveryCast],
	// [rpc.DeliveryMulticall], [rpc.DeliveryStream] or [rpc.DeliveryInspect]. Servers see each copy
	// of a fanout as a cast, and each copy of a gather as a call. At a gateway,
	// [rpc.DeliveryAttach] allows a process to attach servers. Nil means any but that.
	Delivery []rpc.Delivery
	// Services are patterns of plain gRPC services, such as "grpc.health.v1.Health", or of their
	// methods, such as "grpc.health.v1.Health/Check". A rule with Services allows nothing else, and
	// the fields from Exchange to Delivery must be nil.
	Services []string
}

// Package policy decides which callers may send which messages. It compiles the rules of a
// [trust.Policy], or of a policy file, and evaluates them for messages.
//
// A [Policy] is immutable, except for a cache of verdicts. The first rule that allows a query
// decides, in the order of the rules. If no rule allows it, the query is denied.
package policy

import (
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Denied is the verdict on a query that no rule allows.
const Denied = -1

// Unknown is the namespace of a message whose namespace is not known, because the program does not
// know its typed service. Only rules for any namespace allow it. Real namespaces have no control
// characters.
const Unknown = "\x00"

// Query asks a policy: may this caller send this message?
type Query struct {
	// Caller is the identity that the caller proved.
	Caller rpc.Identity
	// Exchange, Topic, Namespace, Server and Method are the receiver of a message, and its method.
	Exchange, Topic, Namespace, Server, Method string
	// Delivery is the delivery of the message, such as a call.
	Delivery rpc.Delivery
	// Service is the full name of a method of a plain gRPC service, such as
	// "grpc.health.v1.Health/Check". It is empty for messages, whose fields are above.
	Service string
}

// Policy is a set of rules. It is safe for concurrent use.
type Policy struct {
	// DryRun is true if denials are only logged and counted, and not enforced.
	DryRun bool

	rules    []rule
	verdicts cache
}

// rule is a compiled rule.
type rule struct {
	name string
	line int // its line in the file; 0 if it is not from a file
	// anyone is true if the rule also allows callers that proved nothing.
	anyone bool
	from   patterns
	// plain is true if the rule is for plain gRPC services.
	plain bool
	// services are patterns for names of services, and methods are patterns for full names of
	// methods.
	services, methods                          patterns
	exchange, topic, namespace, server, method patterns
	deliveries                                 []rpc.Delivery // nil for the usual ones

	source trust.Rule
}

// Rules returns the names of the rules. A verdict is an index into this list.
func (p *Policy) Rules() []string {
	names := make([]string, len(p.rules))
	for i := range p.rules {
		names[i] = p.rules[i].name
	}
	return names
}

// Rule returns the name of the rule of a verdict, or an empty string for [Denied].
func (p *Policy) Rule(verdict int) string {
	if verdict == Denied {
		return ""
	}
	return p.rules[verdict].name
}

// Decide returns the index of the first rule that allows a query, or [Denied] if there is none.
func (p *Policy) Decide(q *Query) int {
	slot, verdict := p.verdicts.find(q)
	if slot == nil {
		return verdict
	}
	verdict = p.scan(q)
	slot.keep(q, verdict)
	return verdict
}

// scan is Decide without the cache.
func (p *Policy) scan(q *Query) int {
	names := proved(q.Caller)
	for i := range p.rules {
		if p.rules[i].allows(q, names) {
			return i
		}
	}
	return Denied
}

// proved returns the names of a caller, with DNS names in lower case, as patterns have them.
func proved(caller rpc.Identity) []string {
	for i, name := range caller.Names {
		if isDNS(name) && strings.ToLower(name) != name {
			lower := append([]string(nil), caller.Names...)
			for j := i; j < len(lower); j++ {
				lower[j] = folded(lower[j])
			}
			return lower
		}
	}
	return caller.Names
}

const dnsPrefix = "dns:"

func isDNS(name string) bool { return strings.HasPrefix(name, dnsPrefix) }

func folded(name string) string {
	if isDNS(name) {
		return strings.ToLower(name)
	}
	return name
}

// allows reports whether the rule allows a query. It checks the fields that differ most between
// rules first, to end early.
func (r *rule) allows(q *Query, names []string) bool {
	if r.plain || q.Service != "" {
		return r.plain && r.allowsService(q.Service) && r.allowsCaller(names)
	}
	return r.topic.match(q.Topic) && r.method.match(q.Method) && r.allowsDelivery(q.Delivery) && r.namespace.match(q.Namespace) &&
		r.server.match(q.Server) && r.exchange.match(q.Exchange) && r.allowsCaller(names)
}

// Reaches reports whether some rule allows the caller to send anything to the server of a query.
// The method, namespace and delivery of the query do not count.
func (p *Policy) Reaches(q *Query) bool {
	names := proved(q.Caller)
	return slices.ContainsFunc(p.rules, func(r rule) bool {
		return !r.plain && r.topic.match(q.Topic) && r.server.match(q.Server) && r.exchange.match(q.Exchange) && r.allowsCaller(names)
	})
}

func (r *rule) allowsService(method string) bool {
	service, _, _ := strings.Cut(method, "/")
	return method != "" && (r.services.match(service) || r.methods.match(method))
}

func (r *rule) allowsDelivery(d rpc.Delivery) bool {
	return r.deliveries == nil && d != rpc.DeliveryAttach || slices.Contains(r.deliveries, d)
}

func (r *rule) allowsCaller(names []string) bool {
	return r.anyone || slices.ContainsFunc(names, r.from.match)
}

package consul

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// Rule is a rule of an ACL policy for the services with one name.
type Rule struct {
	// Service is the name of the services.
	Service string `json:"service"`
	// Write is true for "write", false for "read".
	Write bool `json:"write"`
}

// Rules returns the minimum rules for services that a program needs to serve and call these topics.
// The program also needs to read all nodes; [Policy] adds that rule.
func Rules(serve, call []registry.Topic) []Rule {
	rules := make([]Rule, 0, 2*len(serve)+len(call))
	add := func(name string, write bool) {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.Service == name }) {
			rules = append(rules, Rule{name, write})
		}
	}
	for _, t := range serve {
		add(serviceName(t), true)
		add(processName(t), true)
	}
	for _, t := range call {
		add(serviceName(t), false)
	}
	return rules
}

// Policy returns rules for services, and the rule for nodes, as a Consul policy in HCL.
func Policy(rules []Rule) string {
	const read, write = "read", "write"
	type line struct{ resource, policy string }
	lines := make([]line, 0, len(rules)+1)
	for _, r := range rules {
		policy := read
		if r.Write {
			policy = write
		}
		lines = append(lines, line{fmt.Sprintf("service %q", r.Service), policy})
	}
	lines = append(lines, line{`node_prefix ""`, read})
	width := 0
	for _, l := range lines {
		width = max(width, len(l.resource))
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%-*s { policy = %q }\n", width, l.resource, l.policy)
	}
	return b.String()
}

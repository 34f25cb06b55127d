package rpc

import (
	"fmt"
	"strings"
	"time"
)

// CapRule says where a version cap comes from.
type CapRule string

// The possible values of [CapRule].
const (
	// CapRuleNone: the client has no cap.
	CapRuleNone CapRule = "none"
	// CapRuleFixed: the cap is a version.
	CapRuleFixed CapRule = "fixed"
	// CapRuleAlias: the cap is a name that stands for a version.
	CapRuleAlias CapRule = "alias"
	// CapRuleAuto: the cap is [AutoCap] and follows the fleet.
	CapRuleAuto CapRule = AutoCap
)

// CapState says whether a version cap has a version.
type CapState string

// The states of a cap.
const (
	// CapNone: there is no cap.
	CapNone CapState = "none"
	// CapKnown: the cap has a version.
	CapKnown CapState = "known"
	// CapNoInstance: the cap is automatic, and no server implements the namespace.
	CapNoInstance CapState = "no instance"
	// CapNoCommonVersion: the cap is automatic, and a server implements only other major versions
	// of the namespace.
	CapNoCommonVersion CapState = "no common version"
	// CapUnreported: the cap is automatic, and a server does not report what it implements. Servers
	// at static addresses never do.
	CapUnreported CapState = "unreported"
)

// CapReason explains the version cap of an interface.
type CapReason struct {
	// Interface is what the cap applies to.
	Interface
	// Rule is the rule that sets the cap.
	Rule CapRule
	// Alias is the name that stands for the version, if the rule is [CapRuleAlias].
	Alias string
	// State says whether there is a version.
	State CapState
	// Version is the cap. It is set only if the state is [CapKnown].
	Version Version
	// Holders are the servers that keep an automatic cap low. They implement no later version, or
	// only another major version, or do not report what they implement.
	Holders []Instance
	// Since is when an automatic cap took its present value. This process observes a cap from the
	// first time that the client uses it. Since is zero if the time is not known.
	Since time.Time
	// Next is the value to which an automatic cap rises when the holders leave or are upgraded. It
	// is nil if there is no such value.
	Next *Version
	// Zone says where messages for any server go. It is nil if the client has no zone, names a
	// server, or sends to all servers.
	Zone *ZoneReason
}

// Reason explains a cap that does not follow the fleet, for an interface.
func (c Cap) Reason(i Interface) *CapReason {
	r := &CapReason{Interface: i, Rule: CapRuleNone, State: CapNone, Alias: c.alias}
	if version, fixed := c.Version(); fixed {
		r.Rule, r.State, r.Version = CapRuleFixed, CapKnown, version
	}
	if c.alias != "" {
		r.Rule = CapRuleAlias
	}
	return r
}

// String explains the cap in one line. If the client has a zone, it also says where messages go.
func (r *CapReason) String() string {
	if r.Zone != nil {
		return r.cap() + "; " + r.Zone.String()
	}
	return r.cap()
}

func (r *CapReason) cap() string {
	about := DescribeNamespace(r.Namespace)
	switch r.State {
	case CapNone:
		return "no cap: every version of the " + about + " may be sent"
	case CapNoInstance:
		return fmt.Sprintf("auto: no server implements the %s, so there is no version that all of them serve", about)
	case CapNoCommonVersion:
		return fmt.Sprintf("auto: no common version %d.x of the %s: %s only other major versions; %s",
			r.Major, about, r.holders("implements", "implement"), r.next())
	case CapUnreported:
		return fmt.Sprintf("auto: no common version of the %s is known: %s not report what they implement",
			about, r.holders("does", "do"))
	}
	if r.Rule != CapRuleAuto {
		rule := strings.TrimSpace(string(r.Rule) + " " + r.Alias)
		return fmt.Sprintf("%s: %s, as the client is set up; to raise it, change that", rule, r.Version)
	}
	known := ""
	if !r.Since.IsZero() {
		known = fmt.Sprintf(", known for %s", time.Since(r.Since).Round(time.Second))
	}
	return fmt.Sprintf("auto: %s of the %s%s: %s no later version; %s",
		r.Version, about, known, r.holders("implements", "implement"), r.next())
}

// holders names the holders, followed by the verb in the singular or the plural.
func (r *CapReason) holders(one, many string) string {
	const few = 5
	var names []string
	for _, i := range r.Holders[:min(few, len(r.Holders))] {
		names = append(names, fmt.Sprintf("%s (%s)", i.Server, i.Addr))
	}
	if more := len(r.Holders) - few; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	if len(r.Holders) == 1 {
		return names[0] + " " + one
	}
	return strings.Join(names, ", ") + " " + many
}

// next says when the cap rises.
func (r *CapReason) next() string {
	switch one := len(r.Holders) == 1; {
	case r.Next == nil && one:
		return "it rises when this one is upgraded"
	case r.Next == nil:
		return "it rises when these are upgraded"
	case one:
		return fmt.Sprintf("it rises to %s when this one leaves, or further when it is upgraded", r.Next)
	default:
		return fmt.Sprintf("it rises to %s when these leave, or further when they are upgraded", r.Next)
	}
}

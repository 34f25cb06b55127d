package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Verdict is the result of a check.
type Verdict string

// These are the verdicts.
const (
	// Safe means that every server serves the version, and no caller asked for a version that it
	// does not serve.
	Safe Verdict = "safe"
	// NotYet means that a server does not serve the version, or a caller asked for an incompatible
	// one.
	NotYet Verdict = "not yet"
	// CannotTell means that information is missing. If there is a known obstacle as well, the
	// verdict is NotYet.
	CannotTell Verdict = "cannot tell"
)

// Findings are the details of a check.
type Findings struct {
	// Goal is the version to upgrade to.
	Goal rpc.Implementation
	// Servers is the number of servers that implement the namespace, without draining ones.
	Servers int
	// Draining is the number of draining servers.
	Draining int
	// Behind has the servers that do not serve the goal.
	Behind []rpc.Instance
	// Unreported has the servers that do not report what they implement.
	Unreported []rpc.Instance
	// Unanswered has the servers that did not answer the query about their requests.
	Unanswered []Observation
	// Callers has the requests for versions that the goal does not serve.
	Callers []Request
	// Unproven has the requests that would be in Callers, but come from callers without a proved
	// identity, in a fleet where other callers have one. Any program can send such requests, so
	// they do not affect the verdict.
	Unproven []Request
	// Deprecated has the requests for deprecated methods that the goal serves.
	Deprecated []Request
	// Uncounted is the number of messages that servers did not count by version, because their
	// statistics were full.
	Uncounted int64
	// Observed is the time for which every server that answered has counted requests: the uptime of
	// Youngest, the server that started last. Youngest is empty if no server answered.
	Observed time.Duration
	Youngest string
}

// Check returns what stands in the way of a version: servers to which messages at the version
// cannot be sent, and callers that still need older versions.
func Check(goal rpc.Implementation, seen []Observation) *Findings {
	f := &Findings{Goal: goal}
	for _, o := range seen {
		f.addAnswer(&o)
		f.addInstance(o.Instance)
	}
	requests := RequestsOf(seen)
	f.Uncounted = requests.Uncounted
	proven := requests.proven()
	for _, r := range requests.List {
		switch {
		case r.Namespace != goal.Namespace || r.isPing():
		case !goal.Version.Serves(r.Version) && r.Identity == "" && proven:
			f.Unproven = append(f.Unproven, r)
		case !goal.Version.Serves(r.Version):
			f.Callers = append(f.Callers, r)
		case r.isDeprecated():
			f.Deprecated = append(f.Deprecated, r)
		}
	}
	return f
}

func (f *Findings) addAnswer(o *Observation) {
	switch uptime, answered := o.Uptime(); {
	case !answered:
		f.Unanswered = append(f.Unanswered, *o)
	case f.Youngest == "" || uptime < f.Observed:
		f.Observed, f.Youngest = uptime, o.Instance.Server
	}
}

func (f *Findings) addInstance(i rpc.Instance) {
	concerns := func(v rpc.Implementation) bool { return v.Namespace == f.Goal.Namespace }
	serves := func(v rpc.Implementation) bool { return concerns(v) && v.Version.Serves(f.Goal.Version) }
	switch {
	case !Counted(i):
		f.Draining++
	case len(i.Implemented) == 0:
		f.Unreported = append(f.Unreported, i)
	case slices.ContainsFunc(i.Implemented, concerns):
		f.Servers++
		if !slices.ContainsFunc(i.Implemented, serves) {
			f.Behind = append(f.Behind, i)
		}
	}
}

// Verdict returns the verdict.
func (f *Findings) Verdict() Verdict {
	switch {
	case len(f.Behind) > 0, len(f.Callers) > 0:
		return NotYet
	case f.Servers == 0, len(f.Unreported) > 0, len(f.Unanswered) > 0, f.Uncounted > 0:
		return CannotTell
	}
	return Safe
}

// Reasons explains the verdict. It is empty for Safe.
func (f *Findings) Reasons() string {
	var reasons []string
	add := func(applies bool, format string, args ...any) {
		if applies {
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	goal := f.Goal.Version
	add(len(f.Behind) > 0, "%s not serve %s", does(len(f.Behind), "server"), goal)
	add(len(f.Callers) > 0, "%s asked for what %s does not serve", count(callers(f.Callers), "caller"), goal)
	add(f.Servers == 0, "no server is known to implement the %s", rpc.DescribeNamespace(f.Goal.Namespace))
	add(len(f.Unreported) > 0, "%s not report what is implemented", does(len(f.Unreported), "server"))
	add(len(f.Unanswered) > 0, "%s did not answer", count(len(f.Unanswered), "server"))
	add(f.Uncounted > 0, "uncounted by version: %s", count(int(f.Uncounted), "message"))
	return strings.Join(reasons, "; ")
}

// callers returns the number of callers among the requests.
func callers(list []Request) int {
	names := map[string]bool{}
	for _, r := range list {
		names[r.Caller] = true
	}
	return len(names)
}

// count returns a number and a noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// does returns a number, a noun and the matching form of "do".
func does(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " does"
	}
	return count(n, noun) + " do"
}

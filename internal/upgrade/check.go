package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Verdict is the answer of a check.
type Verdict string

// The verdicts.
const (
	// Safe: every server serves the version, and no caller needs another.
	Safe Verdict = "safe"
	// NotYet: servers or callers are in the way.
	NotYet Verdict = "not yet"
	// CannotTell: something is not known. A known obstacle outweighs it: then the verdict is
	// NotYet.
	CannotTell Verdict = "cannot tell"
)

// Findings are what a check found.
type Findings struct {
	// Goal is the version that the upgrade goes to.
	Goal rpc.Implementation
	// Servers is how many servers implement the namespace. Draining servers do not count.
	Servers int
	// Draining is how many servers drain.
	Draining int
	// Behind are the servers among them that do not serve the goal.
	Behind []rpc.Instance
	// Unreported are the servers that do not report what they implement.
	Unreported []rpc.Instance
	// Unanswered are the servers that did not answer.
	Unanswered []Observation
	// Callers are the requests for versions that the goal does not serve.
	Callers []Request
	// Unproven are such requests of callers that proved nothing, in a fleet whose other callers do
	// prove who they are. Anything can send one, so they do not count for the verdict.
	Unproven []Request
	// Deprecated are the requests for deprecated methods that the goal serves.
	Deprecated []Request
	// Uncounted is how many messages the servers had no room to count by version.
	Uncounted int64
	// Observed is how long all servers that answered have counted requests, and Youngest the server
	// that started last. Youngest is empty if no server answered.
	Observed time.Duration
	Youngest string
}

// Check returns what speaks against an upgrade of a topic to a version: against sending it to every
// server, and against dropping what it does not serve.
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

// Verdict returns the answer.
func (f *Findings) Verdict() Verdict {
	switch {
	case len(f.Behind) > 0, len(f.Callers) > 0:
		return NotYet
	case f.Servers == 0, len(f.Unreported) > 0, len(f.Unanswered) > 0, f.Uncounted > 0:
		return CannotTell
	}
	return Safe
}

// Reasons explains the verdict; it is empty for Safe.
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

// callers returns how many callers the requests have.
func callers(list []Request) int {
	names := map[string]bool{}
	for _, r := range list {
		names[r.Caller] = true
	}
	return len(names)
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// does returns a number with its noun and the verb.
func does(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " does"
	}
	return count(n, noun) + " do"
}

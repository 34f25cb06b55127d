// Package gate enforces a policy. It evaluates the policy for each message before the content of
// the message is read, counts the verdicts, and writes the audit log.
//
// A nil [Gate] allows everything. A policy file is read again when it changes. If the file is
// invalid, the previous policy stays in force.
package gate

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Gate is the gate of a process. It is safe for concurrent use.
type Gate struct {
	file  string  // empty for a policy of the program
	read  reading // the first reading of the file
	log   *slog.Logger
	audit *Audit

	active atomic.Pointer[active]
	// denied and wouldDeny count messages that no rule allows: denied counts those that were
	// refused, wouldDeny those that passed because of dry run.
	denied, wouldDeny atomic.Int64
	// counters has the counters of the rules, by their names. Only New and Watch use it.
	counters map[string]*atomic.Int64
	// problem is why the present content of the file is not in force; nil if it is in force.
	problem atomic.Pointer[string]
}

// active is the policy in force.
type active struct {
	*policy.Policy

	allowed []*atomic.Int64 // the number of messages that each rule allowed
	since   time.Time
}

// New returns the gate for a policy, or nil for no policy. The logger gets the audit log, in the
// group "audit", and events about the file.
func New(p *trust.Policy, log *slog.Logger) (*Gate, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // A nil gate lets everything in.
	}
	g := &Gate{file: p.File, log: log, audit: NewAudit(log), counters: map[string]*atomic.Int64{}}
	compiled, err := g.compile(p)
	if err != nil {
		return nil, err
	}
	g.enforce(compiled)
	return g, nil
}

// compile compiles the policy with which the gate begins.
func (g *Gate) compile(p *trust.Policy) (*policy.Policy, error) {
	if p.File == "" {
		return policy.New(*p)
	}
	if p.DryRun || p.Rules != nil {
		return nil, failure.Invalid("a policy has a file or rules: with File, leave DryRun and Rules out, and write them into the file")
	}
	if g.read = read(p.File); g.read.problem != "" {
		return nil, failure.Invalid("%s", g.read.problem)
	}
	return policy.Parse(p.File, []byte(g.read.text))
}

// enforce puts a policy in force. Rules with the same name keep their counts.
func (g *Gate) enforce(p *policy.Policy) {
	a := &active{Policy: p, since: time.Now()}
	for _, name := range p.Rules() {
		if g.counters[name] == nil {
			g.counters[name] = &atomic.Int64{}
		}
		a.allowed = append(a.allowed, g.counters[name])
	}
	g.active.Store(a)
}

// Caller is the sender of a message or an introspection request.
type Caller struct {
	// Peer is the process at the other end of the connection.
	Peer rpc.Peer
	// Claimed is the name that the caller gives itself.
	Claimed string
}

// Enter returns an error if the caller may not send a message. It counts and logs the verdict, and
// sets q.Caller from the peer's identity. All denials have the same text.
func (g *Gate) Enter(ctx context.Context, from *Caller, q *policy.Query) error {
	if g == nil {
		return nil
	}
	q.Caller = from.Peer.Identity
	a := g.active.Load()
	verdict := a.Decide(q)
	if verdict != policy.Denied {
		a.allowed[verdict].Add(1)
		g.audit.Allowed(ctx, from, q, a.Rule(verdict), "")
		return nil
	}
	return g.deny(ctx, a, from, q)
}

// Deny is Enter for a message that is denied without evaluating the rules. In dry run, it returns
// nil like Enter.
func (g *Gate) Deny(ctx context.Context, from *Caller, q *policy.Query) error {
	q.Caller = from.Peer.Identity
	return g.deny(ctx, g.active.Load(), from, q)
}

func (g *Gate) deny(ctx context.Context, a *active, from *Caller, q *policy.Query) error {
	g.audit.Denied(ctx, a.DryRun, from, q, "")
	if a.DryRun {
		g.wouldDeny.Add(1)
		return nil
	}
	g.denied.Add(1)
	return refusal.Denied("the policy of the server denies this")
}

// Shows reports whether a caller may see the subject of a query. It neither counts nor logs.
func (g *Gate) Shows(from *Caller, q *policy.Query) bool {
	if g == nil {
		return true
	}
	q.Caller = from.Peer.Identity
	a := g.active.Load()
	return a.DryRun || a.Decide(q) != policy.Denied
}

// Reaches reports whether a caller may send any message to a server. It neither counts nor logs.
func (g *Gate) Reaches(from *Caller, q *policy.Query) bool {
	if g == nil {
		return true
	}
	q.Caller = from.Peer.Identity
	a := g.active.Load()
	return a.DryRun || a.Reaches(q)
}

// Report has the counts of a gate.
type Report struct {
	DryRun bool
	// Since is when the policy came into force.
	Since time.Time
	// Rules are in the order of the policy.
	Rules []RuleCount
	// Denied and WouldDeny count messages that no rule allows. Denied counts those that were
	// refused, WouldDeny those that passed because of dry run.
	Denied, WouldDeny int64
	// Problem is why the present content of the policy file is not in force; empty if it is in
	// force.
	Problem string
}

// RuleCount is how many messages a rule allowed.
type RuleCount struct {
	Name    string
	Allowed int64
}

// Report returns the counts since New. It returns nil for a nil gate.
func (g *Gate) Report() *Report {
	if g == nil {
		return nil
	}
	a := g.active.Load()
	r := &Report{DryRun: a.DryRun, Since: a.since, Denied: g.denied.Load(), WouldDeny: g.wouldDeny.Load()}
	for i, name := range a.Rules() {
		r.Rules = append(r.Rules, RuleCount{name, a.allowed[i].Load()})
	}
	if p := g.problem.Load(); p != nil {
		r.Problem = *p
	}
	return r
}

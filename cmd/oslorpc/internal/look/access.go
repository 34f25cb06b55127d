package look

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// PolicyDocument is the policy of a process, for programs.
type PolicyDocument struct {
	DryRun    bool           `json:"dry_run"`
	Since     time.Time      `json:"since"`
	Rules     []RuleDocument `json:"rules"`
	Denied    int64          `json:"denied"`
	WouldDeny int64          `json:"would_deny"`
	Problem   string         `json:"problem,omitempty"`
}

// RuleDocument is a rule of a policy.
type RuleDocument struct {
	Name    string `json:"name"`
	Allowed int64  `json:"allowed"`
}

// LimitDocument counts the refusals of a process because of a limit.
type LimitDocument struct {
	Reason  string `json:"reason"`
	Refused int64  `json:"refused"`
}

// SessionDocument describes the sessions of a process: streams that carry many messages.
type SessionDocument struct {
	Open    int64 `json:"open"`
	Lost    int64 `json:"lost"`
	Running int64 `json:"running"`
	Kept    int64 `json:"kept"`
	Credit  int64 `json:"credit"`
}

// GatewayDocument counts the messages that a gateway forwards.
type GatewayDocument struct {
	Forwarding int64 `json:"forwarding"`
	Forwarded  int64 `json:"forwarded"`
	Failed     int64 `json:"failed"`
	Watches    int64 `json:"watches"`
	Attached   int64 `json:"attached"`
}

func (d *GatewayDocument) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  gateway: %d forwarded, %d of them failed, %d not answered yet; %d watches, %d processes attached\n",
		d.Forwarded, d.Failed, d.Forwarding, d.Watches, d.Attached)
}

// CallerDocument is a caller of a server. Its name is what it claims; its identity is what it
// proved.
type CallerDocument struct {
	Caller   string    `json:"caller"`
	Identity string    `json:"identity,omitempty"`
	Proven   bool      `json:"proven"`
	Accepted int64     `json:"accepted"`
	Refused  int64     `json:"refused"`
	Last     time.Time `json:"last_seen"`
}

func newPolicyDocument(p *rpc.PolicyInfo) *PolicyDocument {
	if p == nil {
		return nil
	}
	d := &PolicyDocument{p.DryRun, p.Since, []RuleDocument{}, p.Denied, p.WouldDeny, p.Problem}
	for _, r := range p.Rules {
		d.Rules = append(d.Rules, RuleDocument(r))
	}
	return d
}

func newLimitDocuments(list []rpc.LimitInfo) (documents []LimitDocument) {
	for _, l := range list {
		documents = append(documents, LimitDocument(l))
	}
	return documents
}

// newCallerDocuments adds up the requests of each caller of a server, ordered by caller and
// identity.
func newCallerDocuments(list []rpc.RequestCount) []CallerDocument {
	type name struct{ caller, identity string }
	sums := map[name]*CallerDocument{}
	documents := []CallerDocument{}
	for _, r := range list {
		key := name{r.Caller, r.Identity}
		d := sums[key]
		if d == nil {
			d = &CallerDocument{Caller: r.Caller, Identity: r.Identity, Proven: r.Identity != ""}
			sums[key] = d
		}
		d.Accepted += r.Accepted
		d.Refused += r.Refused
		if r.LastSeen.After(d.Last) {
			d.Last = r.LastSeen
		}
	}
	for _, d := range sums {
		documents = append(documents, *d)
	}
	slices.SortFunc(documents, func(a, b CallerDocument) int {
		return cmp.Or(strings.Compare(a.Caller, b.Caller), strings.Compare(a.Identity, b.Identity))
	})
	return documents
}

// write writes the policy for people.
func (d *PolicyDocument) write(b *bytes.Buffer) {
	verb, more := "enforced", ""
	if d.DryRun {
		verb, more = "in a dry run", fmt.Sprintf(", %d would be denied", d.WouldDeny)
	}
	fmt.Fprintf(b, "  policy %s since %s; %d denied%s\n", verb, d.Since.UTC().Format(time.RFC3339), d.Denied, more)
	if d.Problem != "" {
		fmt.Fprintf(b, "    the policy file cannot be used, and the policy stays as it was: %s\n", cli.OneLine(d.Problem))
	}
	rows := [][]string{{"RULE", "ALLOWED"}}
	for _, r := range d.Rules {
		rows = append(rows, []string{r.Name, fmt.Sprint(r.Allowed)})
	}
	_ = cli.WriteTable(b, "    ", rows) // a buffer takes everything
}

// write writes the sessions for people.
func (d *SessionDocument) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  sessions: %d open, %d lost; %d messages in flight, %d results kept, credit for %d messages in each\n",
		d.Open, d.Lost, d.Running, d.Kept, d.Credit)
}

// writeLimits writes the refusals because of limits for people.
func writeLimits(b *bytes.Buffer, list []LimitDocument) {
	if len(list) == 0 {
		return
	}
	rows := [][]string{{"LIMIT", "REFUSED"}}
	for _, l := range list {
		rows = append(rows, []string{l.Reason, fmt.Sprint(l.Refused)})
	}
	_ = cli.WriteTable(b, "    ", rows)
}

// writeCallers writes the callers of a server for people.
func writeCallers(b *bytes.Buffer, list []CallerDocument) {
	if len(list) == 0 {
		return
	}
	rows := [][]string{{"CALLER", "PROVED", "ACCEPTED", "REFUSED", "LAST SEEN"}}
	for _, c := range list {
		rows = append(rows, []string{
			c.Caller, cmp.Or(c.Identity, "unproven"), fmt.Sprint(c.Accepted), fmt.Sprint(c.Refused), c.Last.UTC().Format(time.RFC3339),
		})
	}
	_ = cli.WriteTable(b, "    ", rows)
}

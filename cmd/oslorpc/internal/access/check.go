// Package access has the commands that try policies without a server.
package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const offline = "policy commands read files, and connect to no program"

// denied is the verdict on a message that no rule allows.
const denied = "denied"

// Command returns the command with the commands beneath it.
func Command(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Try out which callers a policy lets send what",
		Long:  "Try out which callers a policy lets send what. The commands read files, and ask no server.",
		Example: `  oslorpc policy check policy.yaml
  oslorpc policy test policy.yaml verdicts.yaml`,
		DisableFlagsInUseLine: true,
		Args:                  cli.UnknownCommand,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(checkCommand(p), testCommand(p))
	return cmd
}

// question has the flags that describe a message.
type question struct {
	query    policy.Query
	delivery string
}

func checkCommand(p *cli.Program) *cobra.Command {
	q := &question{}
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy file, and explain its verdict on a message",
		Long: `Check a policy file. With --from and what the caller would send, say whether the policy allows it, and why: the rule
that allows it, or the rule that comes closest and what does not match. Without --from, the caller proved nothing.

The exit code is 0 if the file is well-formed and the message is allowed, 1 if the message is denied, and 2 if the file
has a mistake.`,
		Example: `  oslorpc policy check policy.yaml
  oslorpc policy check policy.yaml --from spiffe://cloud/host/7 --exchange nova --topic conductor --method get_volume
  oslorpc policy check policy.yaml --from user:1000 --topic conductor --method report --delivery cast
  oslorpc policy check policy.yaml --service grpc.health.v1.Health/Check`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.check(p, args[0], slices.ContainsFunc(questionFlags, cmd.Flags().Changed))
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&q.query.Caller.Names, "from", nil, "`names` that the caller proved, such as dns:host7.example")
	flags.StringVar(&q.query.Exchange, "exchange", rpc.DefaultExchange, "`exchange` of the topic")
	flags.StringVar(&q.query.Topic, "topic", "", "`topic` of the server")
	flags.StringVar(&q.query.Namespace, "namespace", "", "`namespace` of the method, if not the default one")
	flags.StringVar(&q.query.Server, "server", "", "`name` of the server")
	flags.StringVar(&q.query.Method, "method", "", "`method` that is to run")
	flags.StringVar(&q.delivery, "delivery", string(rpc.DeliveryCall), "`delivery`: call, cast, multicall, stream or inspect")
	flags.StringVar(&q.query.Service, "service", "", "`method` of a service of gRPC, as grpc.health.v1.Health/Check, in place of a message")
	return cli.Offline(cmd, offline)
}

// questionFlags are the flags that describe a message.
var questionFlags = []string{"from", "exchange", "topic", "namespace", "server", "method", "delivery", "service"}

// check checks a policy file, and explains the verdict on a message if flags describe one.
func (q *question) check(p *cli.Program, file string, asked bool) error {
	q.query.Delivery = rpc.Delivery(q.delivery)
	if !slices.Contains(policy.Deliveries(), q.query.Delivery) {
		return cli.Usage("--delivery is %q: write call, cast, multicall, stream or inspect", q.delivery)
	}
	rules, err := policy.Load(file)
	if err != nil {
		return err
	}
	if !asked {
		return describe(p, rules)
	}
	e := rules.Explain(&q.query)
	if p.JSON() {
		err = cli.WriteJSON(p.Out, newVerdictDocument(rules, e))
	} else {
		err = cli.WriteTable(p.Out, "", explanation(file, e))
	}
	if err != nil || e.Allowed {
		return err
	}
	return cli.Answer("DENIED", cli.ExitUnexpected, fmt.Errorf("the policy denies this%s", inDryRun(rules)))
}

func inDryRun(rules *policy.Policy) string {
	if rules.DryRun {
		return ", in a dry run: servers let it pass"
	}
	return ""
}

func describe(p *cli.Program, rules *policy.Policy) error {
	if p.JSON() {
		return cli.WriteJSON(p.Out, PolicyDocument{rules.DryRun, rules.Rules()})
	}
	_, err := fmt.Fprintf(p.Out, "well-formed: %d rules, %s\n", len(rules.Rules()), mode(rules))
	return err
}

func mode(rules *policy.Policy) string {
	if rules.DryRun {
		return "dry run"
	}
	return "enforced"
}

// explanation returns a verdict for people.
func explanation(file string, e policy.Explanation) [][]string {
	place := fmt.Sprintf("%q, %s:%d", e.Rule, file, e.Line)
	switch {
	case e.Allowed:
		return [][]string{{"allowed", "by the rule " + place}}
	case e.Rule == "":
		return [][]string{{denied, "no rule is about such a message"}}
	}
	rows := [][]string{{denied, "the closest rule is " + place}}
	for _, m := range e.Misses {
		rows = append(rows, []string{"  " + m.Field, fmt.Sprintf("is %q, and the rule has %s", m.Got, quoted(m.Want))})
	}
	return rows
}

func quoted(list []string) string {
	texts := make([]string, len(list))
	for i, text := range list {
		texts[i] = fmt.Sprintf("%q", text)
	}
	return strings.Join(texts, ", ")
}

// PolicyDocument describes a policy, for programs.
type PolicyDocument struct {
	DryRun bool     `json:"dry_run"`
	Rules  []string `json:"rules"`
}

// VerdictDocument explains a verdict, for programs.
type VerdictDocument struct {
	Allowed bool           `json:"allowed"`
	DryRun  bool           `json:"dry_run"`
	Rule    string         `json:"rule,omitempty"`
	Line    int            `json:"line,omitempty"`
	Misses  []MissDocument `json:"misses,omitempty"`
}

// MissDocument is a part of a message that does not match the closest rule, for programs.
type MissDocument struct {
	Field string   `json:"field"`
	Got   string   `json:"got"`
	Want  []string `json:"want"`
}

func newVerdictDocument(rules *policy.Policy, e policy.Explanation) VerdictDocument {
	d := VerdictDocument{Allowed: e.Allowed, DryRun: rules.DryRun, Rule: e.Rule, Line: e.Line}
	for _, m := range e.Misses {
		d.Misses = append(d.Misses, MissDocument(m))
	}
	return d
}

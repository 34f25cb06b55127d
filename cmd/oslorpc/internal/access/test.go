package access

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/policy"
)

func testCommand(p *cli.Program) *cobra.Command {
	return cli.Offline(&cobra.Command{
		Use:   "test FILE TABLE",
		Short: "Check that a policy gives the verdicts in a table",
		Long: `Check that a policy gives the verdicts in a table. The table is a YAML file with a list of cases:

  - from: spiffe://cloud/host/7
    exchange: nova
    topic: conductor
    method: get_volume
    expect: allowed
    rule: agents report
  - {from: spiffe://cloud/host/7, topic: conductor, method: drop_all, expect: denied}
  - {service: grpc.health.v1.Health/Check, expect: allowed}

Each key but expect may be left out. The exchange is then openstack, and the delivery is call.

The exit code is 0 if all verdicts are as expected, 1 if one is not, and 2 if a file has a mistake.`,
		Example:               `  oslorpc policy test policy.yaml verdicts.yaml`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(2, 2, "a FILE and a TABLE"),
		RunE:                  func(_ *cobra.Command, args []string) error { return test(p, args[0], args[1]) },
	}, offline)
}

func test(p *cli.Program, file, table string) error {
	rules, err := policy.Load(file)
	if err != nil {
		return err
	}
	text, err := policy.Read(table)
	if err != nil {
		return err
	}
	cases, err := policy.ParseCases(table, text)
	if err != nil {
		return err
	}
	d := TableDocument{Cases: len(cases), Unexpected: []CaseDocument{}}
	for i := range cases {
		c := &cases[i]
		if e := rules.Explain(&c.Query); e.Allowed != c.Allowed || c.Rule != "" && e.Rule != c.Rule {
			d.Unexpected = append(d.Unexpected, CaseDocument{c.Line, expectation(c), newVerdictDocument(rules, e)})
		}
	}
	if err := d.write(p, table); err != nil {
		return err
	}
	if len(d.Unexpected) == 0 {
		return nil
	}
	return cli.Answer("UNEXPECTED", cli.ExitUnexpected, fmt.Errorf("%d of %d verdicts are not as expected", len(d.Unexpected), d.Cases))
}

func expectation(c *policy.Case) string {
	switch {
	case !c.Allowed:
		return denied
	case c.Rule == "":
		return "allowed"
	default:
		return fmt.Sprintf("allowed by the rule %q", c.Rule)
	}
}

// TableDocument is the outcome of a table, for programs.
type TableDocument struct {
	Cases      int            `json:"cases"`
	Unexpected []CaseDocument `json:"unexpected"`
}

// CaseDocument is a verdict that is not as expected, for programs.
type CaseDocument struct {
	Line    int             `json:"line"`
	Expect  string          `json:"expect"`
	Verdict VerdictDocument `json:"verdict"`
}

func (d *TableDocument) write(p *cli.Program, table string) error {
	if p.JSON() {
		return cli.WriteJSON(p.Out, d)
	}
	if len(d.Unexpected) == 0 {
		_, err := fmt.Fprintf(p.Out, "%d verdicts are as expected\n", d.Cases)
		return err
	}
	rows := make([][]string, 0, len(d.Unexpected))
	for _, c := range d.Unexpected {
		rows = append(rows, []string{fmt.Sprintf("%s:%d", table, c.Line), "expected " + c.Expect, "got " + c.Verdict.words()})
	}
	return cli.WriteTable(p.Out, "", rows)
}

func (v *VerdictDocument) words() string {
	switch {
	case v.Allowed:
		return fmt.Sprintf("allowed by the rule %q", v.Rule)
	case v.Rule == "":
		return denied
	default:
		return fmt.Sprintf("denied; the closest rule is %q", v.Rule)
	}
}

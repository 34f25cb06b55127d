package upgrades

import (
	"bytes"
	"fmt"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// writeFindings writes findings for people.
func writeFindings(b *bytes.Buffer, f *upgrade.Findings) {
	goal := f.Goal.Version
	if f.Verdict() == upgrade.Safe {
		callers := "no caller"
		if len(f.Unproven) > 0 {
			callers = "no caller that proved its name"
		}
		fmt.Fprintf(b, "safe: %s %s of the %s%s, and %s asked for what it does not serve\n",
			allServe(f.Servers), goal, rpc.DescribeNamespace(f.Goal.Namespace), notCounted(f.Draining), callers)
	}
	writePart(b, fmt.Sprintf("Servers that do not serve %s:", goal), instancesTable(f.Behind))
	writePart(b, fmt.Sprintf("Callers that asked for what %s does not serve:", goal), requestRows(f.Callers))
	writePart(b, "Callers that proved nothing, and do not count:", requestRows(f.Unproven))
	writePart(b, "Servers that do not report what they implement:", instancesTable(f.Unreported))
	writePart(b, "Servers that did not answer:", unansweredTable(f.Unanswered))
	writePart(b, "Warning: callers of deprecated methods:", requestRows(f.Deprecated))
	if f.Youngest != "" {
		fmt.Fprintf(b, "Callers were counted for %s only, since %s started: those that ask less often are not known.\n",
			f.Observed, cli.Cell(f.Youngest))
	}
}

func allServe(servers int) string {
	if servers == 1 {
		return "the one server serves"
	}
	return fmt.Sprintf("the %d servers serve", servers)
}

func notCounted(draining int) string {
	if draining == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d draining, not counted)", draining)
}

// writePart writes a table with a title, if the table has rows besides its head.
func writePart(b *bytes.Buffer, title string, rows [][]string) {
	if len(rows) < 2 {
		return
	}
	fmt.Fprintln(b, title)
	_ = cli.WriteTable(b, "  ", rows) // a buffer takes everything
}

func instancesTable(list []oslorpc.Instance) [][]string {
	rows := [][]string{{cli.ServerColumn, cli.AddressColumn, cli.StateColumn, cli.VersionsColumn}}
	for _, i := range list {
		rows = append(rows, []string{i.Server, i.Addr, string(i.State), instances.Versions(i)})
	}
	return rows
}

func unansweredTable(list []upgrade.Observation) [][]string {
	rows := [][]string{{cli.ServerColumn, cli.AddressColumn, cli.StateColumn, "ERROR"}}
	for _, o := range list {
		i := o.Instance
		rows = append(rows, []string{i.Server, i.Addr, string(i.State), cli.NewFailure(o.Err).Text()})
	}
	return rows
}

// FindingsDocument are findings for programs.
type FindingsDocument struct {
	Verdict    upgrade.Verdict      `json:"verdict"`
	ExitCode   int                  `json:"exit_code"`
	Reasons    string               `json:"reasons,omitempty"`
	Exchange   string               `json:"exchange"`
	Topic      string               `json:"topic"`
	Namespace  string               `json:"namespace"`
	To         string               `json:"to"`
	Servers    int                  `json:"servers"`
	Draining   int                  `json:"draining"`
	InTheWay   []instances.Document `json:"in_the_way"`
	Callers    []RequestDocument    `json:"callers"`
	Unproven   []RequestDocument    `json:"unproven"`
	Warnings   []RequestDocument    `json:"warnings"`
	Unreported []instances.Document `json:"unreported"`
	Unanswered []UnansweredDocument `json:"unanswered"`
	Uncounted  int64                `json:"uncounted"`
	Observed   float64              `json:"observed_seconds"`
}

func newFindingsDocument(c *checking, f *upgrade.Findings) *FindingsDocument {
	return &FindingsDocument{
		Verdict: f.Verdict(), ExitCode: verdictExits[f.Verdict()], Reasons: f.Reasons(), Exchange: c.Exchange, Topic: c.Topic,
		Namespace: f.Goal.Namespace, To: f.Goal.Version.String(), Servers: f.Servers, Draining: f.Draining, InTheWay: instances.NewDocuments(f.Behind),
		Callers: newRequestDocuments(f.Callers), Unproven: newRequestDocuments(f.Unproven), Warnings: newRequestDocuments(f.Deprecated),
		Unreported: instances.NewDocuments(f.Unreported), Unanswered: newUnansweredDocuments(f.Unanswered),
		Uncounted: f.Uncounted, Observed: f.Observed.Seconds(),
	}
}

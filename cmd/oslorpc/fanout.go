package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (p *program) fanoutCommand() *cobra.Command {
	return p.messageCommand(&cobra.Command{
		Use:   "fanout",
		Short: "Have every server on a topic run a method, without waiting for them",
		Long: `Have every server on a topic run a method, and print for each whether it accepted the message, failed to, or was
skipped because its version or the lack of the method does not let it. A topic without servers is no error.

The exit code is that of the first server that failed; or, if every server was skipped, that of the first.`,
		Example: `  oslorpc fanout demo echo text=everybody
  oslorpc fanout demo refresh --rpc-version 1.4 --output json`,
	}, fanout)
}

func fanout(ctx context.Context, m *message, c *oslorpc.Client) error {
	report, err := c.Fanout(ctx, m.method, m.args.object())
	if err != nil {
		return err
	}
	if m.program.inJSON() {
		err = writeJSON(m.program.out, newReportDocument(report))
	} else {
		err = m.writeReport(ctx, report)
	}
	if err != nil {
		return err
	}
	return verdict(report)
}

func (m *message) writeReport(ctx context.Context, r *oslorpc.Report) error {
	var rows [][]string
	for _, part := range parts(r) {
		for _, d := range part.list {
			row := []string{part.word, d.Instance.Server, d.Instance.Addr}
			if d.Unlisted {
				row[0] += " (not listed)"
			}
			if d.Err != nil {
				row = append(row, d.Err.Error())
			}
			rows = append(rows, row)
		}
	}
	if r.Uncertain != nil {
		m.program.notef("warning: %v", r.Uncertain)
	}
	if len(rows) == 0 {
		m.program.notef("%s", m.selection().absence(m.hint(ctx)))
	}
	return writeTable(m.program.out, "", rows)
}

// part is one of the lists of a report.
type part struct {
	word string
	list []oslorpc.FanoutResult
}

func parts(r *oslorpc.Report) []part {
	return []part{{"accepted", r.Accepted}, {"skipped", r.Skipped}, {"failed", r.Failed}}
}

// verdict returns what the exit code is to tell of a fanout. Some skipped servers are what a mixed fleet is like; if all are, the
// message is wrong.
func verdict(r *oslorpc.Report) error {
	switch all := len(r.Accepted) + len(r.Skipped) + len(r.Failed); {
	case len(r.Failed) > 0:
		return fmt.Errorf("%d of %d servers did not accept it, the first of them so: %w", len(r.Failed), all, r.Failed[0].Err)
	case all > 0 && len(r.Accepted) == 0:
		return fmt.Errorf("each of %d servers was skipped, the first of them so: %w", all, r.Skipped[0].Err)
	}
	return nil
}

// deliveryDocument is what came of a fanout at one server, for programs.
type deliveryDocument struct {
	instanceDocument
	Unlisted bool     `json:"unlisted,omitempty"`
	Error    *failure `json:"error,omitempty"`
}

// newReportDocument returns a report for programs: each list by its word, and why it is uncertain,
// if it is.
func newReportDocument(r *oslorpc.Report) map[string]any {
	document := map[string]any{}
	if r.Uncertain != nil {
		document["uncertain"] = r.Uncertain.Error()
	}
	for _, part := range parts(r) {
		list := []deliveryDocument{}
		for _, d := range part.list {
			one := deliveryDocument{instanceDocument: newInstanceDocument(d.Instance), Unlisted: d.Unlisted}
			if d.Err != nil {
				one.Error = newFailure(d.Err)
			}
			list = append(list, one)
		}
		document[part.word] = list
	}
	return document
}

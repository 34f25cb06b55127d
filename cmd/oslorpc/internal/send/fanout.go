package send

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func fanoutCommand(p *cli.Program) *cobra.Command {
	return messageCommand(p, &cobra.Command{
		Use:   "fanout",
		Short: "Have every server on a topic run a method, without waiting for them",
		Long: `Have every server on a topic run a method, and print for each whether it accepted the message, failed to, or was
skipped because it lacks the version or the method. A topic without servers is no error.

The exit code is the code of the first server that failed, or of the first server if all were skipped.`,
		Example: `  oslorpc fanout demo echo text=everybody
  oslorpc fanout demo refresh --rpc-version 1.4 --output json`,
	}, fanout)
}

func fanout(ctx context.Context, m *message, c *oslorpc.Client) error {
	report, err := c.Fanout(ctx, m.method, m.args.object())
	if report == nil {
		return err
	}
	if m.program.JSON() {
		err = cli.WriteJSON(m.program.Out, newReportDocument(report))
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
		m.program.Notef("warning: %v", r.Uncertain)
	}
	if len(rows) == 0 {
		m.program.Notef("%s", m.selection().Absence(m.hint(ctx).Text))
	}
	return cli.WriteTable(m.program.Out, "", rows)
}

// part is one list of a [oslorpc.Report], with its name in the output.
type part struct {
	word string
	list []oslorpc.FanoutResult
}

func parts(r *oslorpc.Report) []part {
	return []part{{"accepted", r.Accepted}, {"skipped", r.Skipped}, {"failed", r.Failed}}
}

// verdict returns the error that ends the command, or nil. Skipped servers alone are not a failure,
// because a fleet may have servers of several versions. But if all servers were skipped, the
// message is probably wrong.
func verdict(r *oslorpc.Report) error {
	switch all := len(r.Accepted) + len(r.Skipped) + len(r.Failed); {
	case len(r.Failed) > 0:
		return fmt.Errorf("%d of %d servers did not accept it; the first error: %w", len(r.Failed), all, r.Failed[0].Err)
	case all > 0 && len(r.Accepted) == 0:
		return fmt.Errorf("no server accepted it (%d skipped); the first error: %w", all, r.Skipped[0].Err)
	}
	return nil
}

// DeliveryDocument is the outcome of a fanout at one server, for programs.
type DeliveryDocument struct {
	instances.Document
	Unlisted bool         `json:"unlisted,omitempty"`
	Error    *cli.Failure `json:"error,omitempty"`
}

// newReportDocument returns a report for programs: each list by its word, and why the report is
// uncertain, if it is.
func newReportDocument(r *oslorpc.Report) map[string]any {
	document := map[string]any{}
	if r.Uncertain != nil {
		document["uncertain"] = r.Uncertain.Error()
	}
	for _, part := range parts(r) {
		list := []DeliveryDocument{}
		for _, d := range part.list {
			one := DeliveryDocument{Document: instances.NewDocument(d.Instance), Unlisted: d.Unlisted}
			if d.Err != nil {
				one.Error = cli.NewFailure(d.Err)
			}
			list = append(list, one)
		}
		document[part.word] = list
	}
	return document
}

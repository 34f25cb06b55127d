// Package look has the commands that inspect a fleet: ls, ping, info and watch.
package look

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Commands returns the commands.
func Commands(p *cli.Program) []*cobra.Command {
	return []*cobra.Command{lsCommand(p), pingCommand(p), infoCommand(p), watchCommand(p)}
}

func lsCommand(p *cli.Program) *cobra.Command {
	var s instances.Selection
	var wide bool
	cmd := &cobra.Command{
		Use:     "ls [TOPIC]",
		Aliases: []string{"list"},
		Short:   "List the servers, with their addresses, versions and states",
		Long: `List the servers on a topic, or on all topics, with their addresses, versions and states. A version in another
namespace than the default namespace is shown as namespace=version. An empty list is no error.`,
		Example: `  oslorpc ls
  oslorpc ls --wide
  oslorpc ls demo --output json | jq -r '.[].address'`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 1, "at most a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE:                  s.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return ls(ctx, p, t, &s, wide) }),
	}
	cmd.Flags().BoolVar(&wide, "wide", false, "also show zones and the ids of instances")
	s.AddExchange(cmd)
	s.AddTimeout(cmd)
	return cmd
}

func ls(ctx context.Context, p *cli.Program, t *oslorpc.Transport, s *instances.Selection, wide bool) error {
	list, meant, err := s.List(ctx, t)
	if err != nil {
		return err
	}
	if p.JSON() {
		return cli.WriteJSON(p.Out, instances.NewDocuments(list))
	}
	if len(list) == 0 {
		p.Notef("%s", s.Absence(meant.Text))
		return nil
	}
	rows := [][]string{instances.Columns}
	if wide {
		rows[0] = slices.Concat(rows[0], instances.WideColumns)
	}
	for _, i := range list {
		row := instances.Row(i)
		if wide {
			row = append(row, instances.WideRow(i)...)
		}
		rows = append(rows, row)
	}
	return cli.WriteTable(p.Out, "", rows)
}

// Package look has the commands that look at a fleet: ls, ping, info and watch.
package look

import (
	"context"

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
	cmd := &cobra.Command{
		Use:     "ls [TOPIC]",
		Aliases: []string{"list"},
		Short:   "List the servers, with their addresses, versions and states",
		Long: `List the servers on a topic, or on all topics, with their addresses, versions and states. A version in another
namespace than the null namespace is shown as namespace=version. An empty list is no error.`,
		Example: `  oslorpc ls
  oslorpc ls demo --output json | jq -r '.[].address'`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 1, "at most a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE:                  s.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return ls(ctx, p, t, &s) }),
	}
	s.AddExchange(cmd)
	s.AddTimeout(cmd)
	return cmd
}

func ls(ctx context.Context, p *cli.Program, t *oslorpc.Transport, s *instances.Selection) error {
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
	for _, i := range list {
		rows = append(rows, instances.Row(i))
	}
	return cli.WriteTable(p.Out, "", rows)
}

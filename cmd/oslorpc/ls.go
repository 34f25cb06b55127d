package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (p *program) lsCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:     "ls [TOPIC]",
		Aliases: []string{"list"},
		Short:   "List the servers, with their addresses, versions and states",
		Long: `List the servers on a topic, or on all topics, with their addresses, versions and states. A version in another
namespace than the null namespace is shown as namespace=version. An empty list is no error.`,
		Example: `  oslorpc ls
  oslorpc ls demo --output json | jq -r '.[].address'`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(0, 1, "at most a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			s.setTopic(words)
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.ls(ctx, t, &s) })
		},
	}
	s.addExchange(cmd)
	s.addTimeout(cmd)
	return cmd
}

func (p *program) ls(ctx context.Context, t *oslorpc.Transport, s *selection) error {
	list, meant, err := s.list(ctx, t)
	if err != nil {
		return err
	}
	if p.inJSON() {
		return writeJSON(p.out, newInstanceDocuments(list))
	}
	if len(list) == 0 {
		p.notef("%s", s.absence(meant.text))
		return nil
	}
	rows := [][]string{instanceColumns}
	for _, i := range list {
		rows = append(rows, instanceRow(i))
	}
	return writeTable(p.out, "", rows)
}

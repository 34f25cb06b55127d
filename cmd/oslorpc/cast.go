package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (p *program) castCommand() *cobra.Command {
	return p.messageCommand(&cobra.Command{
		Use:   "cast",
		Short: "Have one server run a method, without waiting for it",
		Long: `Have one server run a method, and return when the server has accepted the message, before it runs. What comes of it
is known to the server only.`,
		Example: `  oslorpc cast demo echo text=hello
  oslorpc cast demo sleep seconds:=10 --server node1`,
	}, cast, (*message).addServer)
}

func cast(ctx context.Context, m *message, c *oslorpc.Client) error {
	if err := c.Cast(ctx, m.method, m.args.object()); err != nil {
		return err
	}
	if m.program.inJSON() {
		return writeJSON(m.program.out, map[string]bool{"accepted": true})
	}
	_, err := fmt.Fprintln(m.program.out, "accepted")
	return err
}

package send

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func castCommand(p *cli.Program) *cobra.Command {
	return messageCommand(p, &cobra.Command{
		Use:   "cast",
		Short: "Have one server run a method, without waiting for it",
		Long: `Have one server run a method, and return when the server has accepted the message, before it runs. Only the server
knows the outcome.`,
		Example: `  oslorpc cast demo echo text=hello
  oslorpc cast demo sleep seconds:=10 --server node1`,
	}, cast, (*message).addServer)
}

func cast(ctx context.Context, m *message, c *oslorpc.Client) error {
	if err := c.Cast(ctx, m.method, m.args.object()); err != nil {
		return err
	}
	if m.program.JSON() {
		return cli.WriteJSON(m.program.Out, map[string]bool{"accepted": true})
	}
	_, err := fmt.Fprintln(m.program.Out, "accepted")
	return err
}

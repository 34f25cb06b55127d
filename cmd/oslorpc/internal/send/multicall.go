package send

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func multicallCommand(p *cli.Program) *cobra.Command {
	return messageCommand(p, &cobra.Command{
		Use:   "multicall",
		Short: "Have one server run a method, and print its results as they arrive",
		Long: `Have one server run a method that yields several results, and print each as one line of JSON when it arrives.
--timeout bounds the wait for each of them. ^C ends the method at the server.`,
		Example: `  oslorpc multicall demo count n:=5
  oslorpc multicall demo count n:=1000000 interval:=0.5 --server node1`,
	}, multicall, (*message).addServer)
}

func multicall(ctx context.Context, m *message, c *oslorpc.Client) error {
	for item, err := range oslorpc.Multicall[oslorpc.Raw](ctx, c, m.method, m.args.object()) {
		if err != nil {
			return err
		}
		if err := m.program.WriteResult(item); err != nil {
			return err
		}
	}
	return nil
}

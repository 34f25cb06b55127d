package send

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func callCommand(p *cli.Program) *cobra.Command {
	return messageCommand(p, &cobra.Command{
		Use:   "call",
		Short: "Have one server run a method, and print its result",
		Long: `Have one server run a method, and print its result as one line of JSON. Any server on the topic answers; with
-n they take turns. With --server, the server of that name answers.`,
		Example: `  oslorpc call demo whoami -n 6
  oslorpc call demo add a:=19 b:=23 --server node1
  oslorpc call demo echo text=hello list:='[1, 2]' --context user=bob
  echo '{"a": 9007199254740993, "b": 1}' | oslorpc call demo add -`,
	}, call, (*message).addServer)
}

func call(ctx context.Context, m *message, c *oslorpc.Client) error {
	result, err := oslorpc.Call[oslorpc.Raw](ctx, c, m.method, m.args.object())
	if err != nil {
		return err
	}
	return m.program.WriteResult(result)
}

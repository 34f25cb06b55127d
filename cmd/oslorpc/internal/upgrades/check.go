// Package upgrades has the commands for upgrades of a fleet: versions, versions why, upgrade check
// and deprecations.
package upgrades

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Commands returns the commands.
func Commands(p *cli.Program) []*cobra.Command {
	return []*cobra.Command{versionsCommand(p), upgradeCommand(p), deprecationsCommand(p)}
}

func upgradeCommand(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Check whether a fleet is ready for a version",
		Long:  "Check whether a fleet is ready for a version.\n\n" + cli.AnswerHelp(),
		Example: `  oslorpc upgrade check demo --to 1.4
  oslorpc upgrade check --help`,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 0 {
				return cli.Usage("upgrade needs a command: check")
			}
			return cli.UnknownCommand(cmd, words)
		},
	}
	cli.MarkAnswering(cmd)
	cmd.AddCommand(checkCommand(p))
	return cmd
}

const checkLong = `Check whether every server on a topic serves version V of a namespace, and whether the servers can drop what V does
not serve. In the way are:

  - servers that implement the namespace and do not serve V at any endpoint; draining servers do not count
  - callers that asked for versions that V does not serve, as the servers counted since each of them started

Callers of deprecated methods are only a warning. The check cannot tell if no server implements the namespace, if a
server does not report what it implements or does not answer, or if messages were not counted. If a server or a caller
is in the way as well, the answer is "not yet". The check does not see a caller that was silent since the servers
started: the output says for how long they have counted.`

// checking has the flags of upgrade check.
type checking struct {
	instances.Selection
	namespace, to string
	goal          rpc.Implementation // from the flags
}

func checkCommand(p *cli.Program) *cobra.Command {
	c := &checking{}
	run := c.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return c.check(ctx, p, t) })
	cmd := &cobra.Command{
		Use:   "check TOPIC --to V",
		Short: "Check whether all servers serve a version, and can drop what it does not serve",
		Long:  checkLong + "\n\n" + cli.AnswerHelp(),
		Example: `  oslorpc upgrade check demo --to 1.4
  oslorpc upgrade check demo --to 2.0 --namespace control --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := c.parse(); err != nil {
				return err
			}
			return run(cmd, words)
		},
	}
	cli.MarkAnswering(cmd)
	c.AddOneExchange(cmd)
	cmd.Flags().StringVar(&c.namespace, "namespace", "", "`namespace` of the interface, if not the default one")
	cmd.Flags().StringVar(&c.to, "to", "", "the `version` that the upgrade goes to, as 1.4 (required)")
	c.AddTimeout(cmd)
	return cmd
}

// parse parses the planned version in the flags.
func (c *checking) parse() error {
	if c.to == "" {
		return cli.Usage("check needs --to and a version, as 1.4")
	}
	to, err := rpc.ParseVersion(c.to)
	if err != nil {
		return cli.Usage("--to: %v", err)
	}
	c.goal = rpc.Implementation{Namespace: c.namespace, Version: to}
	return nil
}

func (c *checking) check(ctx context.Context, p *cli.Program, t *oslorpc.Transport) error {
	list, err := c.SomeInExchange(ctx, t)
	if err != nil {
		return err
	}
	found := upgrade.Check(c.goal, observe(ctx, t, list, oslorpc.WithRequests()))
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // that the servers were not asked is no finding
	}
	if p.JSON() {
		err = cli.WriteJSON(p.Out, newFindingsDocument(c, found))
	} else {
		var text bytes.Buffer
		writeFindings(&text, found)
		_, err = p.Out.Write(text.Bytes())
	}
	if err != nil {
		return err
	}
	return asVerdict(found)
}

// verdictExits are the exit codes of the verdicts.
var verdictExits = map[upgrade.Verdict]int{
	upgrade.Safe: cli.ExitYes, upgrade.NotYet: cli.ExitNotYet, upgrade.CannotTell: cli.ExitCannotTell,
}

// asVerdict returns the error that sets the command's exit code, or nil if the upgrade is safe.
func asVerdict(f *upgrade.Findings) error {
	kind := map[upgrade.Verdict]string{upgrade.NotYet: "NotYet", upgrade.CannotTell: "CannotTell"}[f.Verdict()]
	if kind == "" {
		return nil
	}
	return cli.Answer(kind, verdictExits[f.Verdict()], fmt.Errorf("%s: %s", f.Verdict(), f.Reasons()))
}

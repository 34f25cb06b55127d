package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func (p *program) upgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Check whether a fleet is ready for a version",
		Long:  "Check whether a fleet is ready for a version.\n\n" + answerHelp(),
		Example: `  oslorpc upgrade check demo --to 1.4
  oslorpc upgrade check --help`,
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{answerMark: "check"},
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 0 {
				return usage("upgrade needs a command: check")
			}
			return unknownCommand(cmd, words)
		},
	}
	cmd.AddCommand(p.checkCommand())
	return cmd
}

const checkLong = `Check whether version V of a namespace can be sent to every server on a topic, and whether what V does not serve can
be dropped. In the way are:

  - servers that implement the namespace, none of whose endpoints serves V; those that drain do not count
  - callers that asked for versions that V does not serve, as the servers counted since each of them started

Callers of deprecated methods are only a warning. The check cannot tell if no server implements the namespace, if a
server does not say what it implements or cannot be asked, or if messages were not counted; a server or caller in the
way outweighs that. The check does not see a caller that was silent since the servers started: the answer says for how
long they have counted.`

// checking is what the flags of upgrade check say.
type checking struct {
	selection
	namespace, to string
}

func (p *program) checkCommand() *cobra.Command {
	c := &checking{}
	cmd := &cobra.Command{
		Use:   "check TOPIC --to V",
		Short: "Check whether a version can be sent to all, and what it does not serve be dropped",
		Long:  checkLong + "\n\n" + answerHelp(),
		Example: `  oslorpc upgrade check demo --to 1.4
  oslorpc upgrade check demo --to 2.0 --namespace control --output json`,
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{answerMark: "check"},
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			c.setTopic(words)
			goal, err := c.goal()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.check(ctx, t, c, goal) })
		},
	}
	c.addOneExchange(cmd)
	cmd.Flags().StringVar(&c.namespace, "namespace", "", "`namespace` of the interface (default: the null namespace)")
	cmd.Flags().StringVar(&c.to, "to", "", "the `version` that the upgrade goes to, as 1.4 (required)")
	c.addTimeout(cmd)
	return cmd
}

// goal reads the flags.
func (c *checking) goal() (rpc.Implementation, error) {
	if c.to == "" {
		return rpc.Implementation{}, usage("check needs --to and a version, as 1.4")
	}
	to, err := rpc.ParseVersion(c.to)
	if err != nil {
		return rpc.Implementation{}, usage("--to: %v", err)
	}
	return rpc.Implementation{Namespace: c.namespace, Version: to}, nil
}

func (p *program) check(ctx context.Context, t *oslorpc.Transport, c *checking, goal rpc.Implementation) error {
	list, err := c.someInExchange(ctx, t)
	if err != nil {
		return err
	}
	found := upgrade.Check(goal, observe(ctx, t, list, oslorpc.WithRequests()))
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // a server that was not asked for this reason is no finding
	}
	if p.inJSON() {
		err = writeJSON(p.out, newFindingsDocument(c, found))
	} else {
		var text bytes.Buffer
		writeFindings(&text, found)
		_, err = p.out.Write(text.Bytes())
	}
	if err != nil {
		return err
	}
	return asVerdict(found)
}

// asVerdict returns the error that ends the command with the answer; nil if the upgrade is safe.
func asVerdict(f *upgrade.Findings) error {
	kind := map[upgrade.Verdict]string{upgrade.NotYet: "NotYet", upgrade.CannotTell: "CannotTell"}[f.Verdict()]
	if kind == "" {
		return nil
	}
	return &answerError{error: fmt.Errorf("%s: %s", f.Verdict(), f.Reasons()), kind: kind, code: verdictExits[f.Verdict()]}
}

// verdictExits are the exit codes of the verdicts.
var verdictExits = map[upgrade.Verdict]int{
	upgrade.Safe: exitYes, upgrade.NotYet: exitNotYet, upgrade.CannotTell: exitCannotTell,
}

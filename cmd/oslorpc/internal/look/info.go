package look

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func infoCommand(p *cli.Program) *cobra.Command {
	var s instances.Selection
	cmd := &cobra.Command{
		Use:   "info TOPIC",
		Short: "Show what the servers on a topic offer, and what they did",
		Long: `Show what each server on a topic offers: its methods with their arguments and results, how often each was
started and failed, the messages that run and wait, its callers, and the program's age and build. Optional arguments
are in brackets. Callers name themselves; PROVED is what each of them proved.

To those who may inspect all of a program, it shows the policy in force and what limits refused, too.`,
		Example: `  oslorpc info demo
  oslorpc info demo --server node1 --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE:                  s.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return info(ctx, p, t, &s) }),
	}
	s.AddExchange(cmd)
	s.AddServer(p, cmd)
	s.AddTimeout(cmd)
	return cmd
}

func info(ctx context.Context, p *cli.Program, t *oslorpc.Transport, s *instances.Selection) error {
	list, err := s.Some(ctx, t)
	if err != nil {
		return err
	}
	profiles := instances.Ask(list, func(i oslorpc.Instance) Profile {
		info, err := t.Info(ctx, i, oslorpc.WithRequests())
		return newProfile(i, info, err)
	})
	if p.JSON() {
		err = cli.WriteJSON(p.Out, profiles)
	} else {
		err = writeProfiles(p, profiles)
	}
	if err != nil {
		return err
	}
	for _, one := range profiles {
		if one.err != nil {
			return one.err
		}
	}
	return nil
}

func writeProfiles(p *cli.Program, profiles []Profile) error {
	var text bytes.Buffer
	for n, one := range profiles {
		if n > 0 {
			text.WriteByte('\n')
		}
		one.write(&text)
	}
	_, err := p.Out.Write(text.Bytes())
	return err
}

package main

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (p *program) infoCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "info TOPIC",
		Short: "Show what the servers on a topic offer, and what they did",
		Long: `Show what each server on a topic offers: its methods with their arguments and results, how often each was
started and failed, the messages that run and wait, and the program's age and build. Optional arguments are in
brackets.`,
		Example: `  oslorpc info demo
  oslorpc info demo --server node1 --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			s.setTopic(words)
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.info(ctx, t, &s) })
		},
	}
	s.addExchange(cmd)
	s.addServer(p, cmd)
	s.addTimeout(cmd)
	return cmd
}

func (p *program) info(ctx context.Context, t *oslorpc.Transport, s *selection) error {
	list, err := s.some(ctx, t)
	if err != nil {
		return err
	}
	profiles := ask(list, func(i oslorpc.Instance) profile { return newProfile(ctx, t, i) })
	if p.inJSON() {
		err = writeJSON(p.out, profiles)
	} else {
		err = p.writeProfiles(profiles)
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

func (p *program) writeProfiles(profiles []profile) error {
	var text bytes.Buffer
	for n, one := range profiles {
		if n > 0 {
			text.WriteByte('\n')
		}
		one.write(&text)
	}
	_, err := p.out.Write(text.Bytes())
	return err
}

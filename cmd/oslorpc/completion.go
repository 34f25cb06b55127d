package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// completeTimeout bounds how long a shell waits for names; it gets none rather than late ones.
const completeTimeout = time.Second

// names returns what the shell offers for a word of the command line, from what the fleet is at the moment.
func (p *program) names(cmd *cobra.Command, ask func(context.Context, *oslorpc.Transport) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	var names []string
	_ = p.withTransport(func(t *oslorpc.Transport) error { // a shell has no place for errors
		names = ask(ctx, t)
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// completeTopic offers the topics of the fleet for the first argument.
func (p *program) completeTopic(cmd *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(words) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.names(cmd, func(ctx context.Context, t *oslorpc.Transport) []string {
		return namesOf(ctx, t, &selection{}, func(i oslorpc.Instance) string { return i.Topic })
	})
}

// completeServer offers the servers on the topic of the first argument.
func (p *program) completeServer(cmd *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
	var s selection
	s.setTopic(words)
	return p.names(cmd, func(ctx context.Context, t *oslorpc.Transport) []string {
		return namesOf(ctx, t, &s, func(i oslorpc.Instance) string { return i.Server })
	})
}

// completeMessage offers topics, then the methods of a server on the topic.
func (p *program) completeMessage(cmd *cobra.Command, words []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(words) != 1 {
		return p.completeTopic(cmd, words, word)
	}
	return p.names(cmd, func(ctx context.Context, t *oslorpc.Transport) []string {
		list, _, err := (&selection{topic: words[0]}).list(ctx, t)
		if err != nil || len(list) == 0 {
			return nil
		}
		return methodNames(newProfile(ctx, t, list[0]))
	})
}

func namesOf(ctx context.Context, t *oslorpc.Transport, s *selection, name func(oslorpc.Instance) string) []string {
	list, _, _ := s.list(ctx, t) // without a list there are no names
	names := make([]string, 0, len(list))
	for _, i := range list {
		names = append(names, name(i))
	}
	return names
}

func methodNames(p profile) []string {
	var names []string
	for _, s := range p.Servers {
		for _, e := range s.Endpoints {
			for _, m := range e.Methods {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

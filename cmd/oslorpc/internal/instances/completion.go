package instances

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// completeTimeout bounds how long a shell waits for completions. After that time, there are none.
const completeTimeout = time.Second

// completion completes a word on the command line.
type completion = func(cmd *cobra.Command, words []string, word string) ([]string, cobra.ShellCompDirective)

// CompleteTopic completes the first argument with the topics of the fleet.
func CompleteTopic(p *cli.Program) completion {
	return func(cmd *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(words) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(p, cmd, func(ctx context.Context, t *oslorpc.Transport) []string {
			return listNames(ctx, t, &Selection{}, func(i oslorpc.Instance) string { return i.Topic })
		})
	}
}

// CompleteServer completes a word with the servers on the topic of the first argument.
func CompleteServer(p *cli.Program) completion {
	return func(cmd *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
		var s Selection
		s.SetTopic(words)
		return complete(p, cmd, func(ctx context.Context, t *oslorpc.Transport) []string {
			return listNames(ctx, t, &s, func(i oslorpc.Instance) string { return i.Server })
		})
	}
}

// CompleteMethod completes the first argument with topics, and the second with the methods of a
// server on the topic.
func CompleteMethod(p *cli.Program) completion {
	completeTopic := CompleteTopic(p)
	return func(cmd *cobra.Command, words []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(words) != 1 {
			return completeTopic(cmd, words, word)
		}
		return complete(p, cmd, func(ctx context.Context, t *oslorpc.Transport) []string {
			list, _, err := (&Selection{Topic: words[0]}).List(ctx, t)
			if err != nil || len(list) == 0 {
				return nil
			}
			info, err := t.Info(ctx, list[0])
			return methodNames(upgrade.Observe(list[0], info, err))
		})
	}
}

// complete returns the names that a function finds in the fleet, for a shell.
func complete(p *cli.Program, cmd *cobra.Command, find func(context.Context, *oslorpc.Transport) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	var names []string
	_ = p.WithTransport(func(t *oslorpc.Transport) error { // a shell has no place for errors
		names = find(ctx, t)
		return nil
	})
	names = slices.DeleteFunc(names, func(name string) bool { return !isPlainWord(name) })
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// isPlainWord reports whether every shell treats a name as a plain word. Other names are not
// completed: servers choose the names, and a shell may execute a completion such as $(…). A word
// that begins with a dash would be a flag, and completion scripts cut candidates at a colon.
func isPlainWord(name string) bool {
	first, _ := utf8.DecodeRuneInString(name)
	return isPlain(first) && !strings.ContainsFunc(name, func(r rune) bool { return !isPlain(r) && !strings.ContainsRune("-./@+,=%", r) })
}

func isPlain(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func listNames(ctx context.Context, t *oslorpc.Transport, s *Selection, name func(oslorpc.Instance) string) []string {
	list, _, _ := s.List(ctx, t) // without a list there are no names
	return names(list, name)
}

func methodNames(o upgrade.Observation) []string {
	var names []string
	for _, s := range o.Servers() {
		for _, e := range s.Endpoints {
			for _, m := range e.Methods {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

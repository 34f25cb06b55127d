// Package instances selects the instances for a command, queries them, and describes them.
package instances

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Selection selects the instances for a command. An instance must match every name in it that is
// not empty.
type Selection struct {
	Exchange, Topic, Server string
	Timeout                 time.Duration
}

const (
	// LookTimeout bounds how long a command takes to list servers and query them.
	LookTimeout = 5 * time.Second
	// AskAtOnce bounds how many servers a command queries concurrently. More queries at once would
	// make each of them slower.
	AskAtOnce = 16
)

// AddExchange adds the flag that selects an exchange; by default, all are selected.
func (s *Selection) AddExchange(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.Exchange, "exchange", "", "only in this `exchange` (default: all)")
}

// AddOneExchange adds the flag for the exchange to commands about sent messages. A client sends to
// one exchange.
func (s *Selection) AddOneExchange(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.Exchange, "exchange", "", "`exchange` of the topic (default: $"+oslorpc.ExchangeVariable+", else openstack)")
}

// AddServer adds the flag that selects servers by name.
func (s *Selection) AddServer(p *cli.Program, cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.Server, "server", "", "only servers of this `name` (default: all)")
	_ = cmd.RegisterFlagCompletionFunc("server", CompleteServer(p))
}

// AddTimeout adds the flag for the timeout of the command.
func (s *Selection) AddTimeout(cmd *cobra.Command) {
	s.Timeout = LookTimeout
	cmd.Flags().Var((*cli.Timeout)(&s.Timeout), "timeout", "how long the command may take, as a `duration` such as 500ms")
}

// Run returns the function of a command that runs look for the selection, within its timeout. The
// first argument of the command is the topic, if given.
func (s *Selection) Run(p *cli.Program, look func(context.Context, *oslorpc.Transport) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, words []string) error {
		s.SetTopic(words)
		ctx, cancel := context.WithTimeout(cmd.Context(), s.Timeout)
		defer cancel()
		return p.WithTransport(func(t *oslorpc.Transport) error { return look(ctx, t) })
	}
}

// SetTopic selects the topic in the command's first argument, if there is one.
func (s *Selection) SetTopic(words []string) {
	if len(words) > 0 {
		s.Topic = words[0]
	}
}

// SetExchange selects the default exchange of a transport, unless an exchange is selected.
func (s *Selection) SetExchange(t *oslorpc.Transport) {
	s.Exchange = cmp.Or(s.Exchange, t.DefaultExchange())
}

// Has reports whether an instance is selected.
func (s *Selection) Has(i oslorpc.Instance) bool {
	return (s.Exchange == "" || s.Exchange == i.Exchange) && (s.Topic == "" || s.Topic == i.Topic) &&
		(s.Server == "" || s.Server == i.Server)
}

// Absent returns a sentence that says that no server matches the selection.
func (s *Selection) Absent() string {
	words := []string{"no server"}
	add := func(format, name string) {
		if name != "" {
			words = append(words, fmt.Sprintf(format, name))
		}
	}
	add("named %q", s.Server)
	if s.Topic == "" {
		words = append(words, "is listed")
		add("in the exchange %q", s.Exchange)
	} else {
		add("is on the topic %q", s.Topic)
		add("of the exchange %q", s.Exchange)
	}
	return strings.Join(words, " ")
}

// Absence returns Absent followed by a hint, which may be empty.
func (s *Selection) Absence(hint string) string {
	if hint == "" {
		return s.Absent()
	}
	return s.Absent() + "; " + hint
}

// List returns the selected instances, in order. If there are none, the suggestion says what the
// user may have meant.
func (s *Selection) List(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, Suggestion, error) {
	all, err := t.Instances(ctx)
	if err != nil {
		return nil, Suggestion{}, err
	}
	if selected := s.Of(all); len(selected) > 0 {
		return selected, Suggestion{}, nil
	}
	return nil, s.Suggest(t, all), nil
}

// Of returns the selected instances of a list.
func (s *Selection) Of(all []oslorpc.Instance) []oslorpc.Instance {
	return slices.DeleteFunc(slices.Clone(all), func(i oslorpc.Instance) bool { return !s.Has(i) })
}

// Some is like List, but returns an error if the list is empty.
func (s *Selection) Some(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, error) {
	list, meant, err := s.List(ctx, t)
	if err == nil && len(list) == 0 {
		missing := &oslorpc.Error{Kind: oslorpc.NoInstance, NotStarted: true, Message: s.Absent()}
		return nil, cli.WithHint(missing, cmp.Or(meant.Text, "oslorpc ls lists the servers"))
	}
	return list, err
}

// SomeInExchange is like Some, but selects the default exchange if no exchange is selected.
func (s *Selection) SomeInExchange(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, error) {
	s.SetExchange(t)
	return s.Some(ctx, t)
}

// Ask calls question for each instance, for up to [AskAtOnce] instances concurrently, and returns
// the answers in the order of the instances.
func Ask[A any](list []oslorpc.Instance, question func(oslorpc.Instance) A) []A {
	answers := make([]A, len(list))
	places := make(chan struct{}, AskAtOnce)
	var asking sync.WaitGroup
	for n, i := range list {
		places <- struct{}{}
		asking.Go(func() {
			answers[n] = question(i)
			<-places
		})
	}
	asking.Wait()
	return answers
}

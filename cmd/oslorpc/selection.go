package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// selection says which instances a command looks at: those that have every name that is not empty.
type selection struct {
	exchange, topic, server string
	timeout                 time.Duration
}

const (
	// lookTimeout bounds how long a command looks for servers, and asks them.
	lookTimeout = 5 * time.Second
	// askAtOnce bounds how many servers are asked at once: many answers at once would slow each other down.
	askAtOnce = 16
)

func (s *selection) addExchange(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.exchange, "exchange", "", "only in this `exchange` (default: all)")
}

func (s *selection) addServer(p *program, cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.server, "server", "", "only servers of this `name` (default: all)")
	_ = cmd.RegisterFlagCompletionFunc("server", p.completeServer)
}

func (s *selection) addTimeout(cmd *cobra.Command) {
	s.timeout = lookTimeout
	cmd.Flags().Var((*timeout)(&s.timeout), "timeout", "how long it may take, as a `duration` such as 500ms")
}

// setTopic takes the topic from the arguments, if it is there.
func (s *selection) setTopic(words []string) {
	if len(words) > 0 {
		s.topic = words[0]
	}
}

func (s *selection) has(i oslorpc.Instance) bool {
	return (s.exchange == "" || s.exchange == i.Exchange) && (s.topic == "" || s.topic == i.Topic) &&
		(s.server == "" || s.server == i.Server)
}

// absent says in words that none of the selected servers exists.
func (s *selection) absent() string {
	words := []string{"no server"}
	say := func(format, name string) {
		if name != "" {
			words = append(words, fmt.Sprintf(format, name))
		}
	}
	say("named %q", s.server)
	if s.topic == "" {
		words = append(words, "is listed")
		say("in the exchange %q", s.exchange)
	} else {
		say("is on the topic %q", s.topic)
		say("of the exchange %q", s.exchange)
	}
	return strings.Join(words, " ")
}

// list returns the selected instances, in order. If there are none, the suggestion says what may
// have been meant.
func (s *selection) list(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, suggestion, error) {
	all, err := t.Instances(ctx)
	if err != nil {
		return nil, suggestion{}, err
	}
	var selected []oslorpc.Instance
	for _, i := range all {
		if s.has(i) {
			selected = append(selected, i)
		}
	}
	if len(selected) == 0 {
		return nil, s.suggest(all), nil
	}
	return selected, suggestion{}, nil
}

// some is list, but an empty list is an error.
func (s *selection) some(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, error) {
	list, meant, err := s.list(ctx, t)
	if err == nil && len(list) == 0 {
		missing := &oslorpc.Error{Kind: oslorpc.NoInstance, NotStarted: true, Message: s.absent()}
		return nil, &hinted{error: missing, hint: cmp.Or(meant.text, "oslorpc ls lists the servers")}
	}
	return list, err
}

// absence is absent, with the suggestion of what may have been meant.
func (s *selection) absence(hint string) string {
	if hint == "" {
		return s.absent()
	}
	return s.absent() + "; " + hint
}

// ask asks instances, several at a time, and returns their answers in order.
func ask[A any](list []oslorpc.Instance, question func(oslorpc.Instance) A) []A {
	answers := make([]A, len(list))
	places := make(chan struct{}, askAtOnce)
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

package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (p *program) deprecationsCommand() *cobra.Command {
	var s selection
	var all bool
	cmd := &cobra.Command{
		Use:   "deprecations TOPIC",
		Short: "Show which callers still ask for deprecated methods or old versions",
		Long: `Show who asks for methods that are deprecated, or for an older version than the newest that some server on the topic
implements of the same namespace and major version, as the servers counted since each of them started. Callers name
themselves. Refused are messages that the server has no version or no method for.

The exit code is not the answer: it tells that no server is on the topic, or that a server could not be asked.`,
		Example: `  oslorpc deprecations demo
  oslorpc deprecations demo --all --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			s.setTopic(words)
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.deprecations(ctx, t, &s, all) })
		},
	}
	s.addOneExchange(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "show all that was asked for")
	s.addTimeout(cmd)
	return cmd
}

func (p *program) deprecations(ctx context.Context, t *oslorpc.Transport, s *selection, all bool) error {
	list, err := s.someInExchange(ctx, t)
	if err != nil {
		return err
	}
	seen := observe(ctx, t, list, oslorpc.WithRequests())
	requests := upgrade.RequestsOf(seen)
	shown := requests.List
	if !all {
		shown = requests.Outdated(upgrade.NewestOf(list))
	}
	if p.inJSON() {
		err = writeJSON(p.out, deprecationsDocument{
			s.exchange, s.topic, newRequestDocuments(shown), requests.Uncounted, newUnansweredDocuments(seen),
		})
	} else {
		err = p.writeDeprecations(shown, requests.Uncounted)
	}
	if err != nil {
		return err
	}
	return upgrade.FirstError(seen)
}

func (p *program) writeDeprecations(list []upgrade.Request, uncounted int64) error {
	if uncounted > 0 {
		p.notef("%d messages were not counted by method and caller: the servers had no room for more rows", uncounted)
	}
	if len(list) == 0 {
		p.notef("nothing of the kind was asked for since the servers started")
		return nil
	}
	return writeTable(p.out, "", requestRows(list))
}

// requestRows returns requests for people.
func requestRows(list []upgrade.Request) [][]string {
	rows := [][]string{{"NAMESPACE", "METHOD", "VERSION", "CALLER", "ACCEPTED", "REFUSED", "FIRST SEEN", "LAST SEEN", "DEPRECATED"}}
	for _, r := range list {
		rows = append(rows, []string{
			r.Namespace, r.Method, r.Version.String(), r.Caller,
			strconv.FormatInt(r.Accepted, 10), strconv.FormatInt(r.Refused, 10),
			r.FirstSeen.UTC().Format(time.RFC3339), r.LastSeen.UTC().Format(time.RFC3339), given(r.DeprecatedSince),
		})
	}
	return rows
}

// deprecationsDocument says for programs who asks for what is old.
type deprecationsDocument struct {
	Exchange   string               `json:"exchange"`
	Topic      string               `json:"topic"`
	Requests   []requestDocument    `json:"requests"`
	Uncounted  int64                `json:"uncounted"`
	Unanswered []unansweredDocument `json:"unanswered"`
}

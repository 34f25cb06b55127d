package upgrades

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func deprecationsCommand(p *cli.Program) *cobra.Command {
	var s instances.Selection
	var all bool
	cmd := &cobra.Command{
		Use:   "deprecations TOPIC",
		Short: "Show which callers still ask for deprecated methods or old versions",
		Long: `Show which callers ask for deprecated methods, or for an older version than the newest that some server on the topic
implements of the same namespace and major version. The servers count since each of them started. Callers name
themselves. REFUSED counts messages for which the server lacks the version or the method.

The exit code is not the answer: it tells that no server is on the topic, or that a server did not answer.`,
		Example: `  oslorpc deprecations demo
  oslorpc deprecations demo --all --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE: s.Run(p, func(ctx context.Context, t *oslorpc.Transport) error {
			return deprecations(ctx, p, t, &s, all)
		}),
	}
	s.AddOneExchange(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "show all requests")
	s.AddTimeout(cmd)
	return cmd
}

func deprecations(ctx context.Context, p *cli.Program, t *oslorpc.Transport, s *instances.Selection, all bool) error {
	list, err := s.SomeInExchange(ctx, t)
	if err != nil {
		return err
	}
	seen := observe(ctx, t, list, oslorpc.WithRequests())
	requests := upgrade.RequestsOf(seen)
	shown := requests.List
	if !all {
		shown = requests.Outdated(upgrade.NewestOf(list))
	}
	if p.JSON() {
		err = cli.WriteJSON(p.Out, DeprecationsDocument{
			s.Exchange, s.Topic, newRequestDocuments(shown), requests.Uncounted, newUnansweredDocuments(seen),
		})
	} else {
		err = writeDeprecations(p, shown, requests.Uncounted)
	}
	if err != nil {
		return err
	}
	return upgrade.FirstError(seen)
}

func writeDeprecations(p *cli.Program, list []upgrade.Request, uncounted int64) error {
	if uncounted > 0 {
		p.Notef("%d messages were not counted by method and caller: the servers had no room for more rows", uncounted)
	}
	if len(list) == 0 {
		p.Notef("no caller asked for anything deprecated or old since the servers started")
		return nil
	}
	return cli.WriteTable(p.Out, "", requestRows(list))
}

// requestRows returns a table of requests for people.
func requestRows(list []upgrade.Request) [][]string {
	rows := [][]string{{"NAMESPACE", "METHOD", "VERSION", "CALLER", "PROVED", "ACCEPTED", "REFUSED", "FIRST SEEN", "LAST SEEN", "DEPRECATED"}}
	for _, r := range list {
		rows = append(rows, []string{
			r.Namespace, r.Method, r.Version.String(), r.Caller, cmp.Or(r.Identity, "unproven"),
			strconv.FormatInt(r.Accepted, 10), strconv.FormatInt(r.Refused, 10),
			r.FirstSeen.UTC().Format(time.RFC3339), r.LastSeen.UTC().Format(time.RFC3339),
			cli.OptionalVersion(r.DeprecatedSince),
		})
	}
	return rows
}

// DeprecationsDocument has the callers of deprecated methods and old versions, for programs.
type DeprecationsDocument struct {
	Exchange   string               `json:"exchange"`
	Topic      string               `json:"topic"`
	Requests   []RequestDocument    `json:"requests"`
	Uncounted  int64                `json:"uncounted"`
	Unanswered []UnansweredDocument `json:"unanswered"`
}

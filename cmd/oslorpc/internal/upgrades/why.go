package upgrades

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// question has the flags of versions why.
type question struct {
	instances.Selection
	namespace string
	target    string      // empty: explain the cap of the newest major version
	version   rpc.Version // the target, or the default version
}

func whyCommand(p *cli.Program) *cobra.Command {
	q := &question{}
	run := q.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return q.answer(ctx, p, t) })
	cmd := &cobra.Command{
		Use:   "why TOPIC",
		Short: "Explain the automatic version cap",
		Long: `Explain the automatic version cap of an interface, which clients with the cap "auto" follow: the version, the servers
that hold the cap there, with how long they are up and their builds, and the version that it rises to without them. The
interface is the newest major version that some server implements. With --target-version, it is the major version of
the target, and the output says whether every server serves the target.

The exit code is not the answer: it tells that no server is on the topic, or that a server did not answer.`,
		Example: `  oslorpc versions why demo
  oslorpc versions why demo --namespace control --target-version 2.1`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if q.version, err = rpc.VersionOrDefault(q.target); err != nil {
				return cli.Usage("--target-version: %v", err)
			}
			return run(cmd, words)
		},
	}
	q.AddOneExchange(cmd)
	cmd.Flags().StringVar(&q.namespace, "namespace", "", "`namespace` of the interface, if not the default one")
	cmd.Flags().StringVar(&q.target, "target-version", "", "a `version` of the interface, as 1.4 (default: the newest major version)")
	q.AddTimeout(cmd)
	return cmd
}

func (q *question) answer(ctx context.Context, p *cli.Program, t *oslorpc.Transport) error {
	list, err := q.SomeInExchange(ctx, t)
	if err != nil {
		return err
	}
	reason := upgrade.AutoCap(q.interfaceOf(list), list)
	seen := observe(ctx, t, reason.Holders)
	if p.JSON() {
		err = cli.WriteJSON(p.Out, q.newDocument(reason, seen))
	} else {
		err = q.write(p, reason, seen)
	}
	if err != nil {
		return err
	}
	return upgrade.FirstError(seen)
}

// interfaceOf returns the interface that the question is about.
func (q *question) interfaceOf(list []oslorpc.Instance) rpc.Interface {
	if newest, found := upgrade.NewestOf(list).Major(q.namespace); found && q.target == "" {
		return newest
	}
	return rpc.Interface{Namespace: q.namespace, Major: q.version.Major}
}

func (q *question) write(p *cli.Program, r *rpc.CapReason, seen []upgrade.Observation) error {
	fmt.Fprintln(p.Out, cli.OneLine(r.String()))
	if q.target != "" {
		word := "not every server serves"
		if upgrade.AllServe(r, q.version) {
			word = "every server serves"
		}
		fmt.Fprintf(p.Out, "%s: %s it\n", q.target, word)
	}
	if len(seen) == 0 {
		return nil
	}
	fmt.Fprintln(p.Out)
	return cli.WriteTable(p.Out, "", holderRows(seen))
}

// holderRows returns a table of the servers because of which a cap is not higher, for people.
func holderRows(seen []upgrade.Observation) [][]string {
	rows := [][]string{{"HELD BY", cli.AddressColumn, cli.StateColumn, cli.VersionsColumn, "UP", "BUILD"}}
	for _, o := range seen {
		i := o.Instance
		row := []string{i.Server, i.Addr, string(i.State), instances.Versions(i), "", ""}
		if uptime, known := o.Uptime(); known {
			row[4], row[5] = uptime.String(), o.Info.Build
		} else {
			row[4] = cli.NewFailure(o.Err).Text()
		}
		rows = append(rows, row)
	}
	return rows
}

// ReasonDocument explains a cap, for programs.
type ReasonDocument struct {
	Exchange      string           `json:"exchange"`
	Topic         string           `json:"topic"`
	Namespace     string           `json:"namespace"`
	Major         uint32           `json:"major"`
	State         rpc.CapState     `json:"state"`
	Version       string           `json:"version,omitempty"`
	Next          string           `json:"next,omitempty"`
	TargetVersion string           `json:"target_version,omitempty"`
	Sendable      *bool            `json:"sendable,omitempty"`
	Explanation   string           `json:"explanation"`
	Holders       []HolderDocument `json:"holders"`
}

func (q *question) newDocument(r *rpc.CapReason, seen []upgrade.Observation) *ReasonDocument {
	d := &ReasonDocument{
		Exchange: q.Exchange, Topic: q.Topic, Namespace: r.Namespace, Major: r.Major, State: r.State,
		TargetVersion: q.target, Explanation: r.String(), Holders: newHolderDocuments(r, seen),
	}
	d.Version, d.Next = capVersions(r)
	if q.target != "" {
		sendable := upgrade.AllServe(r, q.version)
		d.Sendable = &sendable
	}
	return d
}

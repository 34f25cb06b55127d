package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// question is about the automatic cap of an interface.
type question struct {
	selection
	namespace string
	version   string // empty: of the newest major version, and nothing is asked about it
}

func (p *program) whyCommand() *cobra.Command {
	q := &question{}
	cmd := &cobra.Command{
		Use:   "why TOPIC",
		Short: "Explain the automatic version cap",
		Long: `Explain the automatic version cap of an interface, as clients with the cap "auto" find it: the version, the servers
that hold it there, with how long they are up and their builds, and what it rises to without them. It is that of the
newest major version that some server implements. With --target-version, it is that of the same major version, and the
answer says whether this version can be sent to all.

The exit code is not the answer: it tells that no server is on the topic, or that a server could not be asked.`,
		Example: `  oslorpc versions why demo
  oslorpc versions why demo --namespace control --target-version 2.1`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			q.setTopic(words)
			if _, err := rpc.VersionOrDefault(q.version); err != nil {
				return usage("--target-version: %v", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), q.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.why(ctx, t, q) })
		},
	}
	q.addOneExchange(cmd)
	cmd.Flags().StringVar(&q.namespace, "namespace", "", "`namespace` of the interface (default: the null namespace)")
	cmd.Flags().StringVar(&q.version, "target-version", "", "a `version` of the interface, as 1.4 (default: the newest major version)")
	q.addTimeout(cmd)
	return cmd
}

func (p *program) why(ctx context.Context, t *oslorpc.Transport, q *question) error {
	list, err := q.someInExchange(ctx, t)
	if err != nil {
		return err
	}
	reason := upgrade.AutoCap(q.interfaceOf(list), list)
	seen := observe(ctx, t, reason.Holders)
	if p.inJSON() {
		err = writeJSON(p.out, newReasonDocument(q, reason, seen))
	} else {
		err = p.writeReason(q, reason, seen)
	}
	if err != nil {
		return err
	}
	return upgrade.FirstError(seen)
}

// interfaceOf returns the interface that the question is about.
func (q *question) interfaceOf(list []oslorpc.Instance) rpc.Interface {
	if newest, found := upgrade.NewestOf(list).Major(q.namespace); found && q.version == "" {
		return newest
	}
	version, _ := rpc.VersionOrDefault(q.version) // it was checked
	return rpc.Interface{Namespace: q.namespace, Major: version.Major}
}

// sendable reports whether every server serves the version that the question is about.
func (q *question) sendable(r *rpc.CapReason) bool {
	version, _ := rpc.VersionOrDefault(q.version) // it was checked
	return upgrade.AllServe(r, version)
}

func (p *program) writeReason(q *question, r *rpc.CapReason, seen []upgrade.Observation) error {
	fmt.Fprintln(p.out, oneLine(r.String()))
	if q.version != "" {
		word := "not every server serves"
		if q.sendable(r) {
			word = "every server serves"
		}
		fmt.Fprintf(p.out, "%s: %s it\n", q.version, word)
	}
	if len(seen) == 0 {
		return nil
	}
	fmt.Fprintln(p.out)
	rows := [][]string{{"HELD BY", addressColumn, stateColumn, versionsColumn, "UP", "BUILD"}}
	for _, o := range seen {
		i := o.Instance
		row := []string{i.Server, i.Addr, string(i.State), versions(i), "", ""}
		if uptime, known := o.Uptime(); known {
			row[4], row[5] = uptime.String(), o.Info.Build
		} else {
			row[4] = newFailure(o.Err).text()
		}
		rows = append(rows, row)
	}
	return writeTable(p.out, "", rows)
}

// reasonDocument is an explained cap for programs.
type reasonDocument struct {
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
	Holders       []holderDocument `json:"holders"`
}

func newReasonDocument(q *question, r *rpc.CapReason, seen []upgrade.Observation) *reasonDocument {
	d := &reasonDocument{
		Exchange: q.exchange, Topic: q.topic, Namespace: r.Namespace, Major: r.Major, State: r.State, TargetVersion: q.version,
		Explanation: r.String(), Holders: newHolderDocuments(r, seen),
	}
	if r.State == rpc.CapKnown {
		d.Version = r.Version.String()
	}
	if r.Next != nil {
		d.Next = r.Next.String()
	}
	if q.version != "" {
		sendable := q.sendable(r)
		d.Sendable = &sendable
	}
	return d
}

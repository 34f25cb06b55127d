package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	target := oslorpc.Target{Exchange: q.exchange, Topic: q.topic, Namespace: q.namespace, Version: cmp.Or(q.version, newestMajor(list, q.namespace))}
	reason, err := t.Client(target, oslorpc.WithVersionCap(rpc.AutoCap)).Why(ctx)
	if err != nil {
		return err
	}
	reason.Since = time.Time{} // it is this process that looks since then
	slices.SortFunc(reason.Holders, func(a, b oslorpc.Instance) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.ID, b.ID))
	})
	seen := observe(ctx, t, reason.Holders)
	if p.inJSON() {
		err = writeJSON(p.out, newReasonDocument(q, reason, seen))
	} else {
		err = p.writeReason(q, reason, seen)
	}
	if err != nil {
		return err
	}
	return firstError(seen)
}

// newestMajor returns the first version of the newest major one of a namespace that some instance implements; none if none does.
func newestMajor(list []oslorpc.Instance, namespace string) string {
	major, found := uint32(0), false
	for i := range newest(list) {
		if i.namespace == namespace {
			major, found = max(major, i.major), true
		}
	}
	if !found {
		return ""
	}
	return fmt.Sprintf("%d.0", major)
}

// sendable reports whether every server serves the version that was asked about.
func (q *question) sendable(r *oslorpc.CapReason) bool {
	version, _ := rpc.VersionOrDefault(q.version) // it was checked
	return r.State == oslorpc.CapKnown && r.Version.Serves(version)
}

func (p *program) writeReason(q *question, r *oslorpc.CapReason, seen []observation) error {
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
		i := o.instance
		row := []string{i.Server, i.Addr, string(i.State), versions(i), "", ""}
		if uptime, known := o.uptime(); known {
			row[4], row[5] = uptime.String(), o.info.Build
		} else {
			row[4] = newFailure(o.err).text()
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

func newReasonDocument(q *question, r *oslorpc.CapReason, seen []observation) *reasonDocument {
	d := &reasonDocument{
		Exchange: q.exchange, Topic: q.topic, Namespace: r.Namespace, Major: r.Major, State: r.State, TargetVersion: q.version,
		Explanation: r.String(), Holders: newHolderDocuments(r, seen),
	}
	if r.State == oslorpc.CapKnown {
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

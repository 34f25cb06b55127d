package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func (p *program) upgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Check whether a fleet is ready for a version",
		Long:  "Check whether a fleet is ready for a version.\n\n" + answerHelp(),
		Example: `  oslorpc upgrade check demo --to 1.4
  oslorpc upgrade check --help`,
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{answerMark: "check"},
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 0 {
				return usage("upgrade needs a command: check")
			}
			return unknownCommand(cmd, words)
		},
	}
	cmd.AddCommand(p.checkCommand())
	return cmd
}

const checkLong = `Check whether version V of a namespace can be sent to every server on a topic, and whether what V does not serve can
be dropped. In the way are:

  - servers that implement the namespace, none of whose endpoints serves V; those that drain do not count
  - callers that asked for versions that V does not serve, as the servers counted since each of them started

Callers of deprecated methods are only a warning. The check cannot tell if no server implements the namespace, if a
server does not say what it implements or cannot be asked, or if messages were not counted; a server or caller in the
way outweighs that. The check does not see a caller that was silent since the servers started: the answer says for how
long they have counted.`

// checking is what the flags of upgrade check say.
type checking struct {
	selection
	namespace, to string
}

func (p *program) checkCommand() *cobra.Command {
	c := &checking{}
	cmd := &cobra.Command{
		Use:   "check TOPIC --to V",
		Short: "Check whether a version can be sent to all, and what it does not serve be dropped",
		Long:  checkLong + "\n\n" + answerHelp(),
		Example: `  oslorpc upgrade check demo --to 1.4
  oslorpc upgrade check demo --to 2.0 --namespace control --output json`,
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{answerMark: "check"},
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			c.setTopic(words)
			to, err := c.plan()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.check(ctx, t, c, to) })
		},
	}
	c.addOneExchange(cmd)
	cmd.Flags().StringVar(&c.namespace, "namespace", "", "`namespace` of the interface (default: the null namespace)")
	cmd.Flags().StringVar(&c.to, "to", "", "the `version` that the upgrade goes to, as 1.4 (required)")
	c.addTimeout(cmd)
	return cmd
}

// plan reads the flags.
func (c *checking) plan() (plan, error) {
	if c.to == "" {
		return plan{}, usage("check needs --to and a version, as 1.4")
	}
	to, err := rpc.ParseVersion(c.to)
	if err != nil {
		return plan{}, usage("--to: %v", err)
	}
	return plan{c.namespace, to}, nil
}

func (p *program) check(ctx context.Context, t *oslorpc.Transport, c *checking, to plan) error {
	list, err := c.someInExchange(ctx, t)
	if err != nil {
		return err
	}
	found := check(to, observe(ctx, t, list, oslorpc.WithRequests()))
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // who was not asked for that reason is no finding
	}
	if p.inJSON() {
		err = writeJSON(p.out, newFindingsDocument(c, found))
	} else {
		var text bytes.Buffer
		found.write(&text)
		_, err = p.out.Write(text.Bytes())
	}
	if err != nil {
		return err
	}
	return found.verdict()
}

// write writes the findings for people.
func (f *findings) write(b *bytes.Buffer) {
	if f.code() == exitYes {
		fmt.Fprintf(b, "safe: %s %s of the %s, and no caller asked for what it does not serve\n", servesWord(f.servers), f.to, f.interfaceWord())
	}
	writePart(b, fmt.Sprintf("Servers that do not serve %s:", f.to), instancesTable(f.inTheWay))
	writePart(b, fmt.Sprintf("Callers that asked for what %s does not serve:", f.to), requestsTable(f.callers))
	writePart(b, "Servers that do not say what they implement:", instancesTable(f.untold))
	writePart(b, "Servers that could not be asked:", unaskedTable(f.unasked))
	writePart(b, "Warning: callers of deprecated methods:", requestsTable(f.warnings))
	if f.youngest != "" {
		fmt.Fprintf(b, "Callers were counted for %s, since %s started.\n", f.observed, cell(f.youngest))
	}
}

func servesWord(servers int) string {
	if servers == 1 {
		return "the one server serves"
	}
	return fmt.Sprintf("all %d servers serve", servers)
}

// writePart writes a table with a title, if it has rows beneath its head.
func writePart(b *bytes.Buffer, title string, rows [][]string) {
	if len(rows) < 2 {
		return
	}
	fmt.Fprintln(b, title)
	_ = writeTable(b, "  ", rows) // a buffer takes everything
}

func instancesTable(list []oslorpc.Instance) [][]string {
	rows := [][]string{{serverColumn, addressColumn, stateColumn, versionsColumn}}
	for _, i := range list {
		rows = append(rows, []string{i.Server, i.Addr, string(i.State), versions(i)})
	}
	return rows
}

func unaskedTable(list []observation) [][]string {
	rows := [][]string{{serverColumn, addressColumn, stateColumn, "ERROR"}}
	for _, o := range list {
		rows = append(rows, []string{o.instance.Server, o.instance.Addr, string(o.instance.State), newFailure(o.err).text()})
	}
	return rows
}

// requestsTable is requestRows, but nothing for nothing.
func requestsTable(list []request) [][]string {
	if len(list) == 0 {
		return nil
	}
	return requestRows(list)
}

// findingsDocument are findings for programs.
type findingsDocument struct {
	Verdict   string             `json:"verdict"` // safe, not yet or cannot tell
	ExitCode  int                `json:"exit_code"`
	Reasons   string             `json:"reasons,omitempty"`
	Exchange  string             `json:"exchange"`
	Topic     string             `json:"topic"`
	Namespace string             `json:"namespace"`
	To        string             `json:"to"`
	Servers   int                `json:"servers"`
	InTheWay  []instanceDocument `json:"in_the_way"`
	Callers   []requestDocument  `json:"callers"`
	Warnings  []requestDocument  `json:"warnings"`
	Untold    []instanceDocument `json:"untold"`
	Unasked   []unaskedDocument  `json:"unasked"`
	Uncounted int64              `json:"uncounted"`
	Observed  float64            `json:"observed_seconds"`
}

func newFindingsDocument(c *checking, f *findings) *findingsDocument {
	verdict := map[int]string{exitYes: "safe", exitNotYet: "not yet", exitCannotTell: "cannot tell"}[f.code()]
	return &findingsDocument{
		Verdict: verdict, ExitCode: f.code(), Reasons: f.reasons(), Exchange: c.exchange, Topic: c.topic,
		Namespace: f.namespace, To: f.to.String(), Servers: f.servers, InTheWay: newInstanceDocuments(f.inTheWay),
		Callers: newRequestDocuments(f.callers), Warnings: newRequestDocuments(f.warnings), Untold: newInstanceDocuments(f.untold),
		Unasked: newUnaskedDocuments(f.unasked), Uncounted: f.uncounted, Observed: f.observed.Seconds(),
	}
}

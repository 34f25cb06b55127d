package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

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
	requests, uncounted := requestsOf(seen)
	if !all {
		requests = outdated(requests, newest(list))
	}
	if p.inJSON() {
		err = writeJSON(p.out, deprecationsDocument{s.exchange, s.topic, newRequestDocuments(requests), uncounted, newUnaskedDocuments(seen)})
	} else {
		err = p.writeDeprecations(requests, uncounted)
	}
	if err != nil {
		return err
	}
	return firstError(seen)
}

// outdated returns the requests for what is deprecated, or older than the newest version.
func outdated(list []request, latest map[iface]oslorpc.Version) []request {
	var old []request
	for _, r := range list {
		if !r.isPing() && (r.deprecated != (oslorpc.Version{}) || older(r.asked, latest)) {
			old = append(old, r)
		}
	}
	return old
}

// older reports whether a later version of the interface is implemented; or only a later major version of it.
func older(a asked, latest map[iface]oslorpc.Version) bool {
	version := a.version
	if best, is := latest[iface{a.namespace, version.Major}]; is {
		return version.Compare(oslorpc.Version{Major: best.Major, Minor: best.Minor}) < 0
	}
	for i := range latest {
		if i.namespace == a.namespace && i.major > version.Major {
			return true
		}
	}
	return false
}

func (p *program) writeDeprecations(list []request, uncounted int64) error {
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
func requestRows(list []request) [][]string {
	rows := [][]string{{"NAMESPACE", "METHOD", "VERSION", "CALLER", "ACCEPTED", "REFUSED", "FIRST SEEN", "LAST SEEN", "DEPRECATED"}}
	for _, r := range list {
		rows = append(rows, []string{
			r.namespace, r.method, r.version.String(), r.caller, strconv.FormatInt(r.accepted, 10), strconv.FormatInt(r.refused, 10),
			r.first.UTC().Format(time.RFC3339), r.last.UTC().Format(time.RFC3339), given(r.deprecated),
		})
	}
	return rows
}

// deprecationsDocument says for programs who asks for what is old.
type deprecationsDocument struct {
	Exchange  string            `json:"exchange"`
	Topic     string            `json:"topic"`
	Requests  []requestDocument `json:"requests"`
	Uncounted int64             `json:"uncounted"`
	Unasked   []unaskedDocument `json:"unasked"`
}

// unaskedDocument is a server that could not be asked.
type unaskedDocument struct {
	instanceDocument
	Error *failure `json:"error"`
}

func newUnaskedDocuments(seen []observation) []unaskedDocument {
	documents := []unaskedDocument{}
	for _, o := range seen {
		if o.err != nil {
			documents = append(documents, unaskedDocument{newInstanceDocument(o.instance), newFailure(o.err)})
		}
	}
	return documents
}

package main

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// addOneExchange adds the flag of commands about what clients send: they send to one exchange.
func (s *selection) addOneExchange(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.exchange, "exchange", "", "`exchange` of the topic (default: $"+oslorpc.ExchangeVariable+", else openstack)")
}

// setExchange completes the exchange.
func (s *selection) setExchange(t *oslorpc.Transport) {
	s.exchange = cmp.Or(s.exchange, t.DefaultExchange())
}

// someInExchange is some in one exchange.
func (s *selection) someInExchange(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, error) {
	s.setExchange(t)
	return s.some(ctx, t)
}

// observe asks instances for what they report about themselves.
func observe(ctx context.Context, t *oslorpc.Transport, list []oslorpc.Instance, options ...oslorpc.InfoOption) []upgrade.Observation {
	return ask(list, func(i oslorpc.Instance) upgrade.Observation {
		info, err := t.Info(ctx, i, options...)
		return upgrade.Observe(i, info, err)
	})
}

// given returns a version that a server may leave out; it is empty if the server did.
func given(v oslorpc.Version) string {
	if v == (oslorpc.Version{}) {
		return ""
	}
	return v.String()
}

// holderDocument is a server that holds a cap down, with what its process reports, for programs.
type holderDocument struct {
	instanceDocument
	Uptime float64  `json:"uptime_seconds,omitempty"`
	Build  string   `json:"build,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

func newHolderDocuments(r *rpc.CapReason, seen []upgrade.Observation) []holderDocument {
	documents := []holderDocument{}
	for _, o := range upgrade.HoldersOf(r, seen) {
		d := holderDocument{instanceDocument: newInstanceDocument(o.Instance)}
		if o.Err != nil {
			d.Error = newFailure(o.Err)
		} else {
			d.Uptime, d.Build = o.Info.Uptime.Seconds(), o.Info.Build
		}
		documents = append(documents, d)
	}
	return documents
}

// requestDocument is a request for programs.
type requestDocument struct {
	Namespace  string    `json:"namespace"`
	Method     string    `json:"method"`
	Version    string    `json:"version"`
	Caller     string    `json:"caller"`
	Accepted   int64     `json:"accepted"`
	Refused    int64     `json:"refused"`
	First      time.Time `json:"first_seen"`
	Last       time.Time `json:"last_seen"`
	Deprecated string    `json:"deprecated_since,omitempty"`
}

func newRequestDocuments(list []upgrade.Request) []requestDocument {
	documents := []requestDocument{}
	for _, r := range list {
		documents = append(documents, requestDocument{
			r.Namespace, r.Method, r.Version.String(), r.Caller, r.Accepted, r.Refused,
			r.FirstSeen.UTC(), r.LastSeen.UTC(), given(r.DeprecatedSince),
		})
	}
	return documents
}

// unansweredDocument is a server that did not answer, for programs.
type unansweredDocument struct {
	instanceDocument
	Error *failure `json:"error"`
}

func newUnansweredDocuments(seen []upgrade.Observation) []unansweredDocument {
	documents := []unansweredDocument{}
	for _, o := range seen {
		if o.Err != nil {
			documents = append(documents, unansweredDocument{newInstanceDocument(o.Instance), newFailure(o.Err)})
		}
	}
	return documents
}

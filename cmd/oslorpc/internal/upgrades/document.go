package upgrades

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// observe returns what instances report about themselves.
func observe(ctx context.Context, t *oslorpc.Transport, list []oslorpc.Instance, options ...oslorpc.InfoOption) []upgrade.Observation {
	return instances.Ask(list, func(i oslorpc.Instance) upgrade.Observation {
		info, err := t.Info(ctx, i, options...)
		return upgrade.Observe(i, info, err)
	})
}

// HolderDocument is a server because of which a cap is not higher, with the report of its process,
// for programs.
type HolderDocument struct {
	instances.Document
	Uptime float64      `json:"uptime_seconds,omitempty"`
	Build  string       `json:"build,omitempty"`
	Error  *cli.Failure `json:"error,omitempty"`
}

func newHolderDocuments(r *rpc.CapReason, seen []upgrade.Observation) []HolderDocument {
	documents := []HolderDocument{}
	for _, o := range upgrade.HoldersOf(r, seen) {
		d := HolderDocument{Document: instances.NewDocument(o.Instance)}
		if o.Err != nil {
			d.Error = cli.NewFailure(o.Err)
		} else {
			d.Uptime, d.Build = o.Info.Uptime.Seconds(), o.Info.Build
		}
		documents = append(documents, d)
	}
	return documents
}

// RequestDocument is a request for programs.
type RequestDocument struct {
	Namespace  string    `json:"namespace"`
	Method     string    `json:"method"`
	Version    string    `json:"version"`
	Caller     string    `json:"caller"`
	Identity   string    `json:"identity,omitempty"`
	Accepted   int64     `json:"accepted"`
	Refused    int64     `json:"refused"`
	First      time.Time `json:"first_seen"`
	Last       time.Time `json:"last_seen"`
	Deprecated string    `json:"deprecated_since,omitempty"`
}

func newRequestDocuments(list []upgrade.Request) []RequestDocument {
	documents := []RequestDocument{}
	for _, r := range list {
		documents = append(documents, RequestDocument{
			r.Namespace, r.Method, r.Version.String(), r.Caller, r.Identity, r.Accepted, r.Refused,
			r.FirstSeen.UTC(), r.LastSeen.UTC(), cli.OptionalVersion(r.DeprecatedSince),
		})
	}
	return documents
}

// UnansweredDocument is a server that did not answer, for programs.
type UnansweredDocument struct {
	instances.Document
	Error *cli.Failure `json:"error"`
}

func newUnansweredDocuments(seen []upgrade.Observation) []UnansweredDocument {
	documents := []UnansweredDocument{}
	for _, o := range seen {
		if o.Err != nil {
			documents = append(documents, UnansweredDocument{instances.NewDocument(o.Instance), cli.NewFailure(o.Err)})
		}
	}
	return documents
}

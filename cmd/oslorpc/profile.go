package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// profile is what an instance says of itself.
type profile struct {
	instanceDocument
	ProcessID int              `json:"process_id,omitempty"`
	Build     string           `json:"build,omitempty"`
	Uptime    float64          `json:"uptime_seconds,omitempty"`
	Servers   []serverDocument `json:"servers,omitempty"`
	Error     *failure         `json:"error,omitempty"`
	err       error
}

// serverDocument is a server behind an instance. There is one, but for a static address, which may have several.
type serverDocument struct {
	Server    string             `json:"server"`
	State     rpc.State          `json:"state"`
	Running   int64              `json:"running"`
	Queued    int64              `json:"queued"`
	Refused   int64              `json:"refused"`
	Endpoints []endpointDocument `json:"endpoints"`
}

type endpointDocument struct {
	Namespaces []string         `json:"namespaces"`
	Version    string           `json:"version"`
	Methods    []methodDocument `json:"methods"`
	Fallback   *methodDocument  `json:"fallback,omitempty"`
	Since      string           `json:"since,omitempty"`
	Deprecated string           `json:"deprecated_since,omitempty"`
}

type methodDocument struct {
	Name      string             `json:"name"`
	Arguments []argumentDocument `json:"arguments"`
	Extra     bool               `json:"extra_arguments"`
	Result    string             `json:"result"`
	Streaming bool               `json:"streaming"`
	Started   int64              `json:"started"`
	Failed    int64              `json:"failed"`
	Since     string             `json:"since,omitempty"`
	// Deprecated is the version in which it was.
	Deprecated string `json:"deprecated_since,omitempty"`
}

type argumentDocument struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional"`
}

// newProfile asks an instance for its profile.
func newProfile(ctx context.Context, t *oslorpc.Transport, i oslorpc.Instance) profile {
	p := profile{instanceDocument: newInstanceDocument(i)}
	info, err := t.Info(ctx, i)
	if err != nil {
		p.err, p.Error = err, newFailure(err)
		return p
	}
	p.ProcessID, p.Build, p.Uptime = info.ProcessID, info.Build, info.Uptime.Seconds()
	o := upgrade.Observation{Instance: i, Info: info}
	for _, s := range o.Servers() {
		p.Servers = append(p.Servers, newServerDocument(s))
	}
	return p
}

func newServerDocument(s rpc.ServerInfo) serverDocument {
	d := serverDocument{
		Server: s.Server, State: s.State,
		Running: s.Running, Queued: s.Queued, Refused: s.Refused,
	}
	for _, e := range s.Endpoints {
		endpoint := endpointDocument{Namespaces: e.Namespaces, Version: e.Version.String(), Methods: []methodDocument{},
			Since: given(e.Since), Deprecated: given(e.DeprecatedSince)}
		for _, m := range e.Methods {
			endpoint.Methods = append(endpoint.Methods, newMethodDocument(m))
		}
		if e.Fallback != nil {
			fallback := newMethodDocument(*e.Fallback)
			endpoint.Fallback = &fallback
		}
		d.Endpoints = append(d.Endpoints, endpoint)
	}
	return d
}

func newMethodDocument(m rpc.MethodInfo) methodDocument {
	d := methodDocument{
		Name: m.Name, Arguments: []argumentDocument{}, Extra: m.ExtraArguments, Result: m.Result,
		Streaming: m.Streaming, Started: m.Started, Failed: m.Failed,
		Since: given(m.Since), Deprecated: given(m.DeprecatedSince),
	}
	for _, a := range m.Arguments {
		d.Arguments = append(d.Arguments, argumentDocument{a.Name, a.Type, a.Optional})
	}
	return d
}

// write writes the profile for people.
func (p *profile) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "%s on %s at %s", cell(p.Server), cell(p.Topic), cell(p.Address))
	if p.Error != nil {
		fmt.Fprintf(b, ": %s\n", p.Error.text())
		return
	}
	uptime := time.Duration(p.Uptime * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(b, ", process %d, build %s, up %s\n", p.ProcessID, cell(p.Build), uptime)
	for _, s := range p.Servers {
		fmt.Fprintf(b, "  %s; %d running, %d queued, %d refused\n", cell(string(s.State)), s.Running, s.Queued, s.Refused)
		for _, e := range s.Endpoints {
			e.write(b)
		}
	}
}

func (e *endpointDocument) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  version %s%s%s\n", cell(e.Version), e.namespaces(), deprecated(e.Deprecated))
	rows := append(make([][]string, 0, 1+len(e.Methods)), []string{"METHOD", "RESULT", "STARTED", "FAILED"})
	for _, m := range e.Methods {
		rows = append(rows, m.row(m.Name))
	}
	if e.Fallback != nil {
		rows = append(rows, e.Fallback.row("*"))
	}
	_ = writeTable(b, "    ", rows) // a buffer takes everything
}

// namespaces names the namespaces of an endpoint; empty if it has only the null namespace.
func (e *endpointDocument) namespaces() string {
	if len(e.Namespaces) == 1 && e.Namespaces[0] == "" {
		return ""
	}
	var words []string
	for _, namespace := range e.Namespaces {
		if namespace == "" {
			words = append(words, "the null namespace")
		} else {
			words = append(words, "namespace "+oneLine(namespace))
		}
	}
	return ", " + strings.Join(words, ", ")
}

// row describes a method under a name.
func (m *methodDocument) row(name string) []string {
	return []string{name + m.arguments() + deprecated(m.Deprecated), m.result(), fmt.Sprint(m.Started), fmt.Sprint(m.Failed)}
}

// deprecated returns the mark of what was deprecated in a version; empty if it was not.
func deprecated(version string) string {
	if version == "" {
		return ""
	}
	return ", deprecated since " + oneLine(version)
}

// arguments returns the arguments as in "(a integer, b integer)".
func (m *methodDocument) arguments() string {
	var words []string
	for _, a := range m.Arguments {
		word := a.Name + " " + a.Type
		if a.Optional {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	if m.Extra {
		words = append(words, "...")
	}
	return "(" + strings.Join(words, ", ") + ")"
}

func (m *methodDocument) result() string {
	if m.Streaming {
		return "stream of " + m.Result
	}
	return m.Result
}

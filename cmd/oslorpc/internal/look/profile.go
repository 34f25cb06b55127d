package look

import (
	"cmp"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Profile is the report of an instance about itself, for programs.
type Profile struct {
	instances.Document
	ProcessID int              `json:"process_id,omitempty"`
	Build     string           `json:"build,omitempty"`
	Uptime    float64          `json:"uptime_seconds,omitempty"`
	Servers   []ServerDocument `json:"servers,omitempty"`
	Policy    *PolicyDocument  `json:"policy,omitempty"`
	Limits    []LimitDocument  `json:"limits,omitempty"`
	Sessions  *SessionDocument `json:"sessions,omitempty"`
	Gateway   *GatewayDocument `json:"gateway,omitempty"`
	Error     *cli.Failure     `json:"error,omitempty"`
	err       error
}

// ServerDocument is a server behind an instance. There is one, but a static address may have
// several.
type ServerDocument struct {
	Server    string             `json:"server"`
	State     rpc.State          `json:"state"`
	Running   int64              `json:"running"`
	Queued    int64              `json:"queued"`
	Refused   int64              `json:"refused"`
	Endpoints []EndpointDocument `json:"endpoints"`
	Callers   []CallerDocument   `json:"callers"`
	Uncounted int64              `json:"uncounted"`
}

// EndpointDocument is an endpoint of a server.
type EndpointDocument struct {
	Namespaces []string         `json:"namespaces"`
	Version    string           `json:"version"`
	Methods    []MethodDocument `json:"methods"`
	Fallback   *MethodDocument  `json:"fallback,omitempty"`
	Since      string           `json:"since,omitempty"`
	Deprecated string           `json:"deprecated_since,omitempty"`
}

// MethodDocument is a method of an endpoint.
type MethodDocument struct {
	Name       string             `json:"name"`
	Arguments  []ArgumentDocument `json:"arguments"`
	Extra      bool               `json:"extra_arguments"`
	Result     string             `json:"result"`
	Streaming  bool               `json:"streaming"`
	Started    int64              `json:"started"`
	Failed     int64              `json:"failed"`
	Since      string             `json:"since,omitempty"`
	Deprecated string             `json:"deprecated_since,omitempty"`
}

// ArgumentDocument is an argument of a method.
type ArgumentDocument struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional"`
}

// newProfile returns the profile of an instance, given the answer of its process.
func newProfile(i oslorpc.Instance, info *rpc.Info, err error) Profile {
	p := Profile{Document: instances.NewDocument(i)}
	if err != nil {
		p.err, p.Error = err, cli.NewFailure(err)
		return p
	}
	p.ProcessID, p.Build, p.Uptime = info.ProcessID, info.Build, info.Uptime.Seconds()
	p.Zone = cmp.Or(info.Zone, p.Zone)
	p.Policy, p.Limits = newPolicyDocument(info.Policy), newLimitDocuments(info.Limits)
	if info.Sessions != nil {
		p.Sessions = new(SessionDocument(*info.Sessions))
	}
	if info.Gateway != nil {
		p.Gateway = new(GatewayDocument(*info.Gateway))
	}
	o := upgrade.Observation{Instance: i, Info: info}
	for _, s := range o.Servers() {
		p.Servers = append(p.Servers, newServerDocument(s))
	}
	return p
}

func newServerDocument(s rpc.ServerInfo) ServerDocument {
	d := ServerDocument{
		Server: s.Server, State: s.State, Running: s.Running, Queued: s.Queued, Refused: s.Refused,
		Callers: newCallerDocuments(s.Requests), Uncounted: s.Uncounted,
	}
	for _, e := range s.Endpoints {
		endpoint := EndpointDocument{
			Namespaces: e.Namespaces, Version: e.Version.String(), Methods: []MethodDocument{},
			Since: cli.OptionalVersion(e.Since), Deprecated: cli.OptionalVersion(e.DeprecatedSince),
		}
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

func newMethodDocument(m rpc.MethodInfo) MethodDocument {
	d := MethodDocument{
		Name: m.Name, Arguments: []ArgumentDocument{}, Extra: m.ExtraArguments, Result: m.Result,
		Streaming: m.Streaming, Started: m.Started, Failed: m.Failed,
		Since: cli.OptionalVersion(m.Since), Deprecated: cli.OptionalVersion(m.DeprecatedSince),
	}
	for _, a := range m.Arguments {
		d.Arguments = append(d.Arguments, ArgumentDocument(a))
	}
	return d
}

//go:build unix

// Package nova tests the programs of examples/nova as processes.
package nova

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const source = "../../../examples/nova/"

func TestMain(m *testing.M) {
	programtest.Main(m, source+"nova-api", source+"nova-conductor", source+"nova-scheduler", source+"nova-compute")
}

var api = oslorpc.Target{Topic: "nova"}

// fleet is a Nova deployment with its operator.
type fleet struct {
	programtest.Operator

	t     *testing.T
	url   string
	flags []string // of all programs

	api, conductor, scheduler *programtest.Process
}

// startFleet starts all services of Nova except for computes.
func startFleet(t *testing.T, url string, flags ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, url: url, flags: flags, Operator: programtest.NewOperator(t, url, rpcapi.ErrorTypes()...)}
	f.api = f.start("nova-api", "ctl")
	f.conductor = f.start("nova-conductor", "ctl")
	f.scheduler = f.start("nova-scheduler", "ctl")
	for _, p := range []*programtest.Process{f.api, f.conductor, f.scheduler} {
		p.Await(" is ready")
	}
	return f
}

func (f *fleet) start(program, host string, flags ...string) *programtest.Process {
	f.t.Helper()
	return programtest.Start(f.t, f.url, program, slices.Concat([]string{"--host", host}, f.flags, flags)...)
}

// compute starts a compute and waits until it is ready. Flags come after the fleet's flags.
func (f *fleet) compute(host string, flags ...string) *programtest.Process {
	f.t.Helper()
	c := f.start("nova-compute", host, flags...)
	c.Await(" is ready")
	return c
}

// do sends a request that has no result.
func (f *fleet) do(method string, args map[string]any) {
	f.t.Helper()
	f.Do(api, method, args)
}

// boot boots an instance and waits until it is active on a host.
func (f *fleet) boot(name, host string) {
	f.t.Helper()
	f.do("boot", map[string]any{"name": name, "host": host})
	f.runs(name, host)
}

// These are an operator's views of an instance: in a list, or in detail.
type (
	server struct {
		Name  string         `json:"name"`
		State rpcapi.VMState `json:"state"`
		Task  string         `json:"task"`
		Host  string         `json:"host"`
		Cell  string         `json:"cell"`
	}
	listing struct {
		Servers []server `json:"servers"`
		Unknown []string `json:"unknown_cells"`
	}
	details struct {
		fields

		Cell string `json:"cell"`
	}
	fields rpcapi.Instance // without its method UnmarshalJSON, which would read the cell, too
)

func (f *fleet) list() listing {
	f.t.Helper()
	return programtest.Ask[listing](f.Operator, api, "list", nil)
}

func (f *fleet) show(name string) details {
	f.t.Helper()
	return programtest.Ask[details](f.Operator, api, "show", map[string]any{"server": name})
}

// until waits until an instance satisfies a condition, and returns it.
func (f *fleet) until(name, what string, so func(server) bool) (s server) {
	f.t.Helper()
	programtest.Until(f.t, name+" "+what, func() bool {
		servers := f.list().Servers
		i := slices.IndexFunc(servers, func(s server) bool { return s.Name == name })
		if i < 0 {
			return false
		}
		s = servers[i]
		return so(s)
	})
	return s
}

// runs waits until an instance runs on a host and is in no task. An empty host means any host.
func (f *fleet) runs(name, host string) server {
	f.t.Helper()
	return f.until(name, "runs on host "+host, func(s server) bool {
		return s.State == rpcapi.Active && s.Task == "" && (host == "" || s.Host == host)
	})
}

// database returns the flags that make a conductor store its data.
func database(t *testing.T) []string {
	t.Helper()
	return []string{"--database", filepath.Join(t.TempDir(), "nova.json")}
}

// ended checks that a program that was told to stop ends without an error.
func ended(t *testing.T, p *programtest.Process) {
	t.Helper()
	if code := p.Ended(); code != 0 {
		t.Errorf("%s ends with %d:\n%s", p.Name, code, p.Log())
	}
}

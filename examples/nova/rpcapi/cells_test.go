package rpcapi_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// serveCell serves the hosts of a cell.
func serveCell(t *testing.T, url, name string, hosts ...string) {
	t.Helper()
	transport, err := rpcapi.Open(url, oslorpc.WithStopGrace(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	start := func(topic, host string, endpoints []oslorpc.Endpoint) {
		s := transport.Server(oslorpc.Target{Topic: topic, Server: host})
		s.Add(endpoints...)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m := manager{name: name, do: func(context.Context, any) error { return &rpcapi.InstanceNotFound{InstanceID: "any in " + name} }}
	start("conductor", "ctl", conductor(m))
	for _, host := range hosts {
		start("compute", host, compute(manager{name: name}, "6.5"))
	}
}

// Messages to a cell stay in this cell. The same host name in another cell is another host.
func TestCells(t *testing.T) {
	urls := map[string]string{rpcapi.OwnCell: "memory://cells-own", "east": "memory://cells-east", "west": "memory://cells-west"}
	serveCell(t, urls["own"], "own", "node1")
	serveCell(t, urls["east"], "east", "node1", "node2")
	serveCell(t, urls["west"], "west", "node1")
	others := map[string]string{"east": urls["east"], "west": urls["west"]}
	cells, err := rpcapi.OpenCells(urls["own"], others, rpcapi.Config{}, oslorpc.WithStopGrace(0))
	if err != nil {
		t.Fatal(err)
	}

	names := []string{}
	for _, cell := range cells.All() {
		names = append(names, cell.Name)
		if got, err := cells.Get(cell.Name); got != cell || err != nil {
			t.Errorf("the cell of the name %s is %v, %v", cell.Name, got, err)
		}
		if up, err := cell.Compute.GetHostUptime(t.Context(), "node1"); up != "up on "+cell.Name || err != nil {
			t.Errorf("node1 of %s says %q, %v", cell.Name, up, err)
		}
		// All cells know the errors of Nova.
		err := cell.Conductor.Save(t.Context(), web)
		if got, ok := errors.AsType[*rpcapi.InstanceNotFound](err); !ok || got.InstanceID != "any in "+cell.Name {
			t.Errorf("the conductor of %s says %v", cell.Name, err)
		}
		_, err = cell.Compute.GetConsoleOutput(t.Context(), web, 0) // on node2
		if there := cell.Name == "east"; there && err != nil || !there && oslorpc.KindOf(err) != oslorpc.NoInstance {
			t.Errorf("node2 by way of %s: %v", cell.Name, err)
		}
	}
	if want := []string{"east", "own", "west"}; !slices.Equal(names, want) || cells.Own().Name != "own" {
		t.Errorf("the cells are %q, and the own one %q", names, cells.Own().Name)
	}
	if _, err := cells.Get("north"); err == nil || !strings.Contains(err.Error(), `no cell "north", but ["east" "own" "west"]`) {
		t.Errorf("a cell that there is not: %v", err)
	}

	if err := cells.Close(); err != nil {
		t.Error(err)
	}
	for _, cell := range cells.All() {
		_, err := cell.Compute.GetHostUptime(t.Context(), "node1")
		if oslorpc.KindOf(err) != oslorpc.Invalid || !strings.Contains(err.Error(), "closed") {
			t.Errorf("in %s after the end: %v", cell.Name, err)
		}
	}
}

// The configuration applies to the own cell and to all others.
func TestCellsAreConfigured(t *testing.T) {
	config := rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: "7.0", Conductor: "4.0"}}
	cells, err := rpcapi.OpenCells("memory://cells-own", map[string]string{"east": "memory://cells-east"}, config,
		oslorpc.WithDefaultExchange("nova"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cells.Close() }()
	for _, cell := range cells.All() {
		if got := cell.Transport.DefaultExchange(); got != "nova" {
			t.Errorf("the exchange of %s is %q", cell.Name, got)
		}
		for _, err := range []error{
			only(cell.Compute.GetHostUptime(t.Context(), "node1")), cell.Conductor.Save(t.Context(), web),
		} {
			if oslorpc.KindOf(err) != oslorpc.VersionCapExceeded {
				t.Errorf("in %s: %v", cell.Name, err)
			}
		}
	}
}

func TestOpenCellsFails(t *testing.T) {
	const good, bad = "memory://cells-own", "rabbit://cells"
	for name, c := range map[string]struct {
		own    string
		others map[string]string
		want   string
	}{
		"its own cell":          {bad, map[string]string{"east": good}, `cell own: `},
		"another cell":          {good, map[string]string{"east": bad, "west": good, "north": good}, `cell east: `},
		"another one named own": {good, map[string]string{"own": good}, `the name "own" means the program's own cell`},
	} {
		cells, err := rpcapi.OpenCells(c.own, c.others, rpcapi.Config{})
		if cells != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, cells, err)
		}
	}
}

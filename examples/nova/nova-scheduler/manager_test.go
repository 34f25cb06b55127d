package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cells are the cells of a scheduler for tests. Each has a separate registry.
type cells map[string]*oslorpctest.Fleet

func newManager(t *testing.T, names ...string) (*manager, cells) {
	t.Helper()
	fleets, transports := cells{}, map[string]*oslorpc.Transport{}
	for _, name := range names {
		fleets[name] = oslorpctest.New(t)
		transports[name] = fleets[name].Transport()
	}
	return &manager{cells: rpcapi.NewCells(transports, rpcapi.Config{}), hosts: map[host]instances{}}, fleets
}

// compute starts a compute in a cell.
func (c cells) compute(t *testing.T, cell, host string, options ...oslorpc.ServerOption) *oslorpc.Server {
	t.Helper()
	s := c[cell].Transport().Server(oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: host}, options...)
	s.Add(rpcapi.BaseRPCAPI("compute"))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// selected returns the selected hosts of instances, each with its alternates, as text.
func selected(t *testing.T, m *manager, alternates bool, spec rpcapi.RequestSpec, uuids ...string) []string {
	t.Helper()
	destinations, err := m.SelectDestinations(t.Context(), rpcapi.SelectDestinationsArgs{
		SpecObj: spec, InstanceUUIDs: uuids, ReturnAlternates: alternates,
	})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, d := range destinations {
		var hosts []string
		for _, s := range d {
			hosts = append(hosts, s.Cell+"/"+s.ServiceHost)
		}
		words = append(words, strings.Join(hosts, " "))
	}
	return words
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("selected: %q, want %q", got, want)
	}
}

// sync makes a compute report its instances.
func (m *manager) sync(t *testing.T, cell, host string, uuids ...string) {
	t.Helper()
	if err := (inCell{m, cell}).SyncInstanceInfo(context.Background(), rpcapi.SyncInfoArgs{HostName: host, InstanceUUIDs: uuids}); err != nil {
		t.Fatal(err)
	}
}

// The host with the fewest instances gets the next one, and selected instances count.
func TestFewestInstancesFirst(t *testing.T) {
	m, c := newManager(t, rpcapi.OwnCell)
	for _, host := range []string{"c1", "c2", "c3"} {
		c.compute(t, rpcapi.OwnCell, host)
	}
	m.sync(t, rpcapi.OwnCell, "c1", "1", "2", "3")
	m.sync(t, rpcapi.OwnCell, "c2", "4")
	want(t, selected(t, m, false, rpcapi.RequestSpec{}, "5", "6", "7", "8"), "own/c3", "own/c2", "own/c3", "own/c2")
	want(t, selected(t, m, true, rpcapi.RequestSpec{}, "9", "10"), "own/c3 own/c1 own/c2", "own/c1 own/c2 own/c3")

	// The report of a compute overrides the expected instances.
	m.sync(t, rpcapi.OwnCell, "c1")
	want(t, selected(t, m, false, rpcapi.RequestSpec{}, "11"), "own/c1")
	m.sync(t, rpcapi.OwnCell, "c2")
	m.sync(t, rpcapi.OwnCell, "c3", "3", "5")
	in := inCell{m, rpcapi.OwnCell}
	for n := range 3 {
		args := rpcapi.UpdateInfoArgs{HostName: "c2", InstanceInfo: rpcapi.Instance{UUID: fmt.Sprint("new-", n)}}
		for range 2 { // the second does nothing
			if err := in.UpdateInstanceInfo(t.Context(), args); err != nil {
				t.Fatal(err)
			}
		}
	}
	want(t, selected(t, m, true, rpcapi.RequestSpec{}, "12"), "own/c1 own/c3 own/c2") // which have 1, 2 and 3
	for _, uuid := range []string{"new-0", "new-1", "new-2", "none"} {
		if err := in.DeleteInstanceInfo(t.Context(), rpcapi.DeleteInfoArgs{HostName: "c2", InstanceUUID: uuid}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, selected(t, m, false, rpcapi.RequestSpec{}, "13"), "own/c2")
}

// An instance can go to any cell, unless a cell is requested. All its alternates are in the same
// cell.
func TestAlternatesAreInTheSameCell(t *testing.T) {
	m, c := newManager(t, rpcapi.OwnCell, "cell2")
	c.compute(t, rpcapi.OwnCell, "c1")
	c.compute(t, rpcapi.OwnCell, "c2")
	c.compute(t, "cell2", "c1") // of the same name, but another host
	c.compute(t, "cell2", "c3")
	m.sync(t, rpcapi.OwnCell, "c1", "1", "2")
	m.sync(t, rpcapi.OwnCell, "c2", "3", "4")
	m.sync(t, "cell2", "c1", "5")
	want(t, selected(t, m, true, rpcapi.RequestSpec{}, "6", "7"), "cell2/c3 cell2/c1", "cell2/c1 cell2/c3")
	want(t, selected(t, m, true, rpcapi.RequestSpec{Cell: rpcapi.OwnCell}, "8"), "own/c1 own/c2")
}

// Hosts that are held, drain or have left are not selected. The same is true for hosts that are
// ignored, or that are not the requested host.
func TestHostsThatArePassedOver(t *testing.T) {
	m, c := newManager(t, rpcapi.OwnCell)
	held := c.compute(t, rpcapi.OwnCell, "held", oslorpc.WithHold())
	drains := c.compute(t, rpcapi.OwnCell, "drains")
	left := c.compute(t, rpcapi.OwnCell, "left")
	c.compute(t, rpcapi.OwnCell, "c1")
	c.compute(t, rpcapi.OwnCell, "c1") // another process of that name is no other host
	c.compute(t, rpcapi.OwnCell, "c2")
	for _, err := range []error{drains.Drain(t.Context()), left.Stop(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want(t, selected(t, m, true, rpcapi.RequestSpec{}, "1"), "own/c1 own/c2")
	want(t, selected(t, m, true, rpcapi.RequestSpec{Host: "c1"}, "2"), "own/c1")
	want(t, selected(t, m, true, rpcapi.RequestSpec{IgnoreHosts: []string{"c1"}}, "3"), "own/c2")
	for says, spec := range map[string]rpcapi.RequestSpec{
		"host held is down":             {Host: "held"},
		"host drains is down":           {Host: "drains"},
		"host left is down":             {Host: "left"},
		"where the instance is already": {Host: "c2", IgnoreHosts: []string{"c2"}},
		`there is none but ["c1" "c2"]`: {IgnoreHosts: []string{"c1", "c2"}},
		"no compute is up and enabled":  {Cell: "cell9"},
	} {
		_, err := m.SelectDestinations(t.Context(), rpcapi.SelectDestinationsArgs{SpecObj: spec, InstanceUUIDs: []string{"4"}})
		if none, ok := errors.AsType[*rpcapi.NoValidHost](err); !ok || !strings.Contains(none.Reason, says) {
			t.Errorf("%+v: %v", spec, err)
		}
	}

	for _, err := range []error{held.Release(t.Context()), drains.Resume(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want(t, selected(t, m, true, rpcapi.RequestSpec{IgnoreHosts: []string{"c1", "c2"}}, "5"), "own/drains own/held")
}

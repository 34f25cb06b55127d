package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// host is a compute host in a cell, and instances are the instances on it.
type (
	host      struct{ cell, name string }
	instances map[string]bool
)

// manager finds hosts for instances. It reads the hosts from discovery each time. Computes report
// how many instances are on each host, and the manager remembers that.
type manager struct {
	cells *rpcapi.Cells

	mu    sync.Mutex
	hosts map[host]instances
}

// inCell is the server side for one cell: it has the manager and the name of the cell.
type inCell struct {
	*manager

	cell string
}

// SelectDestinations finds hosts for instances. It counts the selected hosts as used, so that
// concurrent requests spread out. If an instance is then not built, the next report of the compute
// corrects the count.
func (m *manager) SelectDestinations(ctx context.Context, args rpcapi.SelectDestinationsArgs) ([][]rpcapi.Selection, error) {
	candidates := m.candidates(ctx, args.SpecObj)
	if len(candidates) == 0 {
		return nil, &rpcapi.NoValidHost{Reason: reason(args.SpecObj)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var destinations [][]rpcapi.Selection
	for _, uuid := range args.InstanceUUIDs {
		slices.SortFunc(candidates, func(a, b host) int {
			return cmp.Or(cmp.Compare(len(m.hosts[a]), len(m.hosts[b])), cmp.Compare(a.name, b.name), cmp.Compare(a.cell, b.cell))
		})
		m.add(candidates[0], uuid)
		destinations = append(destinations, selections(candidates, args.ReturnAlternates))
	}
	return destinations, nil
}

// candidates returns the hosts that may run an instance: they are registered and enabled.
func (m *manager) candidates(ctx context.Context, spec rpcapi.RequestSpec) []host {
	var found []host
	for _, cell := range m.cells.All() {
		if spec.Cell != "" && spec.Cell != cell.Name {
			continue
		}
		listed, err := cell.Transport.Instances(ctx)
		if err != nil {
			slog.ErrorContext(ctx, "the hosts of a cell are not known", "cell", cell.Name, "error", err)
			continue
		}
		for _, i := range listed {
			h := host{cell.Name, i.Server}
			if i.Topic == rpcapi.ComputeTopic && i.State == oslorpc.StateActive && fits(spec, i.Server) && !slices.Contains(found, h) {
				found = append(found, h)
			}
		}
	}
	return found
}

func fits(spec rpcapi.RequestSpec, name string) bool {
	return (spec.Host == "" || spec.Host == name) && !slices.Contains(spec.IgnoreHosts, name)
}

func reason(spec rpcapi.RequestSpec) string {
	switch {
	case spec.Host != "":
		return fmt.Sprintf("host %s is down, disabled, in another cell, or where the instance is already", spec.Host)
	case len(spec.IgnoreHosts) > 0:
		return fmt.Sprintf("there is none but %q, or all others are disabled", spec.IgnoreHosts)
	}
	return "no compute is up and enabled"
}

// selections returns the first host and, with alternates, the others of its cell, since an instance
// does not change its cell.
func selections(candidates []host, alternates bool) []rpcapi.Selection {
	best := candidates[0]
	chosen := []rpcapi.Selection{{Cell: best.cell, ServiceHost: best.name}}
	for _, h := range candidates[1:] {
		if alternates && h.cell == best.cell {
			chosen = append(chosen, rpcapi.Selection{Cell: h.cell, ServiceHost: h.name})
		}
	}
	return chosen
}

// add records that an instance is on a host. The caller holds the lock.
func (m *manager) add(h host, uuid string) {
	if m.hosts[h] == nil {
		m.hosts[h] = instances{}
	}
	m.hosts[h][uuid] = true
}

// UpdateInstanceInfo notes that an instance is new on a host.
func (m inCell) UpdateInstanceInfo(_ context.Context, args rpcapi.UpdateInfoArgs) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(host{m.cell, args.HostName}, args.InstanceInfo.UUID)
	return nil
}

// DeleteInstanceInfo notes that an instance has left a host.
func (m inCell) DeleteInstanceInfo(_ context.Context, args rpcapi.DeleteInfoArgs) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.hosts[host{m.cell, args.HostName}], args.InstanceUUID)
	return nil
}

// SyncInstanceInfo sets which instances are on a host, and replaces all earlier reports.
func (m inCell) SyncInstanceInfo(_ context.Context, args rpcapi.SyncInfoArgs) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := host{m.cell, args.HostName}
	m.hosts[h] = instances{}
	for _, uuid := range args.InstanceUUIDs {
		m.add(h, uuid)
	}
	return nil
}

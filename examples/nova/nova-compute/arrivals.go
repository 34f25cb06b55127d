package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

// arrivalPause is the interval of checks for arriving instances.
const arrivalPause = 5 * time.Second

// awaitArrivals waits for arriving instances, or for the end of ctx.
func (m *manager) awaitArrivals(ctx context.Context) {
	if coming := m.incoming.list(); len(coming) > 0 {
		m.Sayf("waits for instances to come: %s", strings.Join(coming, ", "))
	}
	for ctx.Err() == nil && len(m.incoming.list()) > 0 {
		look, cancel := context.WithTimeout(ctx, arrivalPause)
		m.forgetArrivals(look)
		m.incoming.wait(look)
		cancel()
	}
	if late := m.incoming.list(); len(late) > 0 {
		m.Sayf("waits no longer for %s", strings.Join(late, ", "))
	}
}

// forgetArrivals forgets instances that will not arrive: they were deleted, or their host went down
// and could not report that. Without a conductor no instance can arrive, since the conductor
// records the move.
func (m *manager) forgetArrivals(ctx context.Context) {
	for _, uuid := range m.incoming.list() {
		if i, err := m.cell.Conductor.GetByUUID(rpcapi.AdminContext(ctx), uuid); err != nil || i.TaskState != rpcapi.Migrating {
			m.incoming.set(uuid, false)
		}
	}
}

// arrivals are the instances that are being moved here.
type arrivals struct {
	mu      sync.Mutex
	uuids   map[string]bool
	changed chan struct{} // closed with the next change
}

func (a *arrivals) set(uuid string, about bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if about {
		a.uuids[uuid] = true
	} else {
		delete(a.uuids, uuid)
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *arrivals) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.uuids))
}

// wait waits until no instance is arriving, or ctx ends.
func (a *arrivals) wait(ctx context.Context) {
	for {
		a.mu.Lock()
		n, changed := len(a.uuids), a.changed
		a.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

package main

import (
	"maps"
	"slices"
	"sync"
)

// guests are the instances that run on the host. This example has no hypervisor, and only remembers
// them.
type guests struct {
	mu sync.Mutex
	// consoles has the console lines of each instance.
	consoles map[string][]string
	// busy has an entry for each instance with a task in progress.
	busy map[string]*turn
}

// turn serializes the tasks of one instance: one runs at a time.
type turn struct {
	sync.Mutex

	users int
}

func newGuests() *guests { return &guests{consoles: map[string][]string{}, busy: map[string]*turn{}} }

// alone waits until no other task of an instance is in progress. Other tasks of the instance wait
// until done is called.
func (g *guests) alone(uuid string) (done func()) {
	g.mu.Lock()
	t := g.busy[uuid]
	if t == nil {
		t = &turn{}
		g.busy[uuid] = t
	}
	t.users++
	g.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(g.busy, uuid)
		}
	}
}

// isBusy reports whether a task with an instance is in progress.
func (g *guests) isBusy(uuid string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy[uuid] != nil
}

// run starts an instance, unless it runs already. Lines are added to its console.
func (g *guests) run(uuid string, lines ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.consoles[uuid] = append(g.consoles[uuid], lines...)
}

// remove ends an instance, if it runs.
func (g *guests) remove(uuid string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.consoles, uuid)
}

func (g *guests) console(uuid string) ([]string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	lines, ok := g.consoles[uuid]
	return slices.Clone(lines), ok
}

func (g *guests) runs(uuid string) bool {
	_, ok := g.console(uuid)
	return ok
}

func (g *guests) uuids() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.consoles))
}

package main

import (
	"maps"
	"slices"
	"sync"
)

// guests are the instances that run on the host. In place of a hypervisor, they are remembered
// here.
type guests struct {
	mu sync.Mutex
	// consoles has what each says on its console.
	consoles map[string][]string
	// busy has the instances that something is done with, and what waits for that.
	busy map[string]*turn
}

// turn is one task's turn with an instance.
type turn struct {
	sync.Mutex

	users int
}

func newGuests() *guests { return &guests{consoles: map[string][]string{}, busy: map[string]*turn{}} }

// alone waits until nothing else is done with an instance, and keeps it so until done is called.
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

// isBusy reports whether something is done with an instance.
func (g *guests) isBusy(uuid string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy[uuid] != nil
}

// run has an instance run, if it does not yet. Lines are what it says on its console then, after
// what it said before.
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

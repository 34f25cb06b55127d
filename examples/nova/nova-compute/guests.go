package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

// guests are the instances that run on the host. In place of a hypervisor, they are remembered here.
type guests struct {
	mu     sync.Mutex
	guests map[string]*guest
	// busy has the instances that something is done with, and what waits for that.
	busy map[string]*turn
}

type guest struct {
	instance rpcapi.Instance
	console  []string
}

// turn is somebody's turn with an instance.
type turn struct {
	sync.Mutex

	users int
}

func newGuests() *guests { return &guests{guests: map[string]*guest{}, busy: map[string]*turn{}} }

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

// put has an instance run, as it is now. Lines are what it says on its console then, after what it said before.
func (g *guests) put(i rpcapi.Instance, lines ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.guests[i.UUID] == nil {
		g.guests[i.UUID] = &guest{}
	}
	g.guests[i.UUID].instance = i
	g.guests[i.UUID].console = append(g.guests[i.UUID].console, lines...)
}

// remove ends an instance, and reports whether it ran.
func (g *guests) remove(uuid string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ran := g.guests[uuid]
	delete(g.guests, uuid)
	return ran
}

func (g *guests) console(uuid string) ([]string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if guest, ok := g.guests[uuid]; ok {
		return slices.Clone(guest.console), true
	}
	return nil, false
}

func (g *guests) runs(uuid string) bool {
	_, ok := g.console(uuid)
	return ok
}

func (g *guests) uuids() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.guests))
}

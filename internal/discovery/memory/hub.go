package memory

import (
	"maps"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/discovery/watch"
)

// hub is what the handles of one name share.
type hub struct {
	name string

	mu      sync.Mutex
	members map[*registry]*member
}

// member is what one handle contributes.
type member struct {
	instances []discovery.Instance
	watches   map[*watch.Watch]discovery.Topic
}

var (
	// hubsMu is taken before the mutex of a hub.
	hubsMu sync.Mutex
	hubs   = map[string]*hub{}
)

func join(name string, r *registry) *hub {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	h := hubs[name]
	if h == nil {
		h = &hub{name: name, members: map[*registry]*member{}}
		hubs[name] = h
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members[r] = &member{watches: map[*watch.Watch]discovery.Topic{}}
	return h
}

// leave removes a handle and returns the watches that it had.
func (h *hub) leave(r *registry) []*watch.Watch {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		return nil
	}
	delete(h.members, r)
	h.tell(m.instances)
	if len(h.members) == 0 {
		delete(hubs, h.name)
	}
	return slices.Collect(maps.Keys(m.watches))
}

// publish reports whether the handle is open.
func (h *hub) publish(r *registry, instances []discovery.Instance) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		return false
	}
	before := m.instances
	m.instances = instances
	h.tell(before, instances)
	return true
}

func (h *hub) watch(r *registry, topic discovery.Topic, w *watch.Watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		w.Stop()
		return
	}
	m.watches[w] = topic
	w.Send(discovery.Update{Instances: h.on(topic)})
}

func (h *hub) unwatch(r *registry, w *watch.Watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.members[r]; m != nil {
		delete(m.watches, w)
	}
}

func (h *hub) list() []discovery.Instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []discovery.Instance
	for _, m := range h.members {
		all = append(all, m.instances...)
	}
	return all
}

// tell sends their lists to the watches of all topics that these instances are on. Call it with mu
// held.
func (h *hub) tell(lists ...[]discovery.Instance) {
	changed := map[discovery.Topic][]discovery.Instance{}
	for _, i := range slices.Concat(lists...) {
		changed[discovery.Topic{Exchange: i.Exchange, Name: i.Topic}] = nil
	}
	for topic := range changed {
		changed[topic] = h.on(topic)
	}
	for _, m := range h.members {
		for w, topic := range m.watches {
			if instances, ok := changed[topic]; ok {
				w.Send(discovery.Update{Instances: instances})
			}
		}
	}
}

// on returns the instances on a topic. Call it with mu held.
func (h *hub) on(topic discovery.Topic) []discovery.Instance {
	var instances []discovery.Instance
	for _, m := range h.members {
		for _, i := range m.instances {
			if i.Exchange == topic.Exchange && i.Topic == topic.Name {
				instances = append(instances, i)
			}
		}
	}
	return instances
}

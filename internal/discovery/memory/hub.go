package memory

import (
	"maps"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// hub is the shared state of all handles of one name.
type hub struct {
	name string

	mu      sync.Mutex
	members map[*handle]*member
	topics  map[registry.Topic]*topic
}

// member has the instances and watches of one handle.
type member struct {
	instances []rpc.Instance
	watches   map[*registry.Watch]registry.Topic
}

// topic has the instances and watches of one topic.
type topic struct {
	instances map[*handle][]rpc.Instance
	watches   map[*registry.Watch]bool
}

var (
	// hubsMu is taken before the mutex of a hub.
	hubsMu sync.Mutex
	hubs   = map[string]*hub{}
)

func join(name string, r *handle) *hub {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	h := hubs[name]
	if h == nil {
		h = &hub{name: name, members: map[*handle]*member{}, topics: map[registry.Topic]*topic{}}
		hubs[name] = h
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members[r] = &member{watches: map[*registry.Watch]registry.Topic{}}
	return h
}

// leave removes a handle and returns its watches.
func (h *hub) leave(r *handle) []*registry.Watch {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		return nil
	}
	delete(h.members, r)
	for w, name := range m.watches {
		h.drop(w, name)
	}
	h.put(r, m.instances, nil)
	if len(h.members) == 0 {
		delete(hubs, h.name)
	}
	return slices.Collect(maps.Keys(m.watches))
}

// publish replaces the instances of a handle. It returns false if the handle is closed.
func (h *hub) publish(r *handle, instances []rpc.Instance) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		return false
	}
	before := m.instances
	m.instances = instances
	h.put(r, before, instances)
	return true
}

// watch adds a watch to a handle. It returns false if the handle is closed.
func (h *hub) watch(r *handle, name registry.Topic, w *registry.Watch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		return false
	}
	m.watches[w] = name
	h.topic(name).watches[w] = true
	h.tell(name, w)
	return true
}

func (h *hub) unwatch(r *handle, w *registry.Watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[r]
	if m == nil {
		return
	}
	if name, ok := m.watches[w]; ok {
		delete(m.watches, w)
		h.drop(w, name)
	}
}

func (h *hub) list() []rpc.Instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []rpc.Instance
	for _, m := range h.members {
		all = append(all, m.instances...)
	}
	return all
}

// topic returns a topic, and creates it if it does not exist. The lock is held.
func (h *hub) topic(name registry.Topic) *topic {
	t := h.topics[name]
	if t == nil {
		t = &topic{instances: map[*handle][]rpc.Instance{}, watches: map[*registry.Watch]bool{}}
		h.topics[name] = t
	}
	return t
}

// drop removes a watch from a topic. The lock is held.
func (h *hub) drop(w *registry.Watch, name registry.Topic) {
	delete(h.topic(name).watches, w)
	h.tidy(name)
}

// tidy removes a topic that has no instances and no watches. The lock is held.
func (h *hub) tidy(name registry.Topic) {
	if t := h.topics[name]; t != nil && len(t.instances) == 0 && len(t.watches) == 0 {
		delete(h.topics, name)
	}
}

// put replaces the instances of a handle, and notifies the watches of their topics. The lock is
// held.
func (h *hub) put(r *handle, before, after []rpc.Instance) {
	changed := map[registry.Topic][]rpc.Instance{}
	for _, i := range before {
		changed[topicOf(i)] = nil
	}
	for _, i := range after {
		changed[topicOf(i)] = append(changed[topicOf(i)], i)
	}
	for name, instances := range changed {
		t := h.topic(name)
		if len(instances) > 0 {
			t.instances[r] = instances
		} else {
			delete(t.instances, r)
		}
		for w := range t.watches {
			h.tell(name, w)
		}
		h.tidy(name)
	}
}

func topicOf(i rpc.Instance) registry.Topic {
	return registry.Topic{Exchange: i.Exchange, Name: i.Topic}
}

// tell makes a watch deliver the current instances on a topic.
func (h *hub) tell(name registry.Topic, w *registry.Watch) {
	w.Changed(func() []rpc.Instance { return h.on(name) })
}

// on returns the instances on a topic.
func (h *hub) on(name registry.Topic) []rpc.Instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		return nil
	}
	all := make([]rpc.Instance, 0, len(t.instances))
	for _, instances := range t.instances {
		all = append(all, instances...)
	}
	return all
}

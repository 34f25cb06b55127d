package attached

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Registry returns a registry for the clients of the gateway: they see what another one has, and
// what is attached. Of what the gateway announces itself they see only the latter.
func (s *Servers) Registry(outer registry.Registry) registry.Registry {
	return &merged{Registry: outer, servers: s}
}

type merged struct {
	registry.Registry

	servers *Servers
}

// String names the registry in errors.
func (r *merged) String() string { return discovery.Name(r.Registry) }

// List implements [registry.Registry].
func (r *merged) List(ctx context.Context) ([]rpc.Instance, error) {
	list, err := r.Registry.List(ctx)
	if err != nil {
		return nil, err
	}
	r.servers.mu.Lock()
	defer r.servers.mu.Unlock()
	return r.servers.merge(list, r.servers.instances()), nil
}

// merge returns what is listed elsewhere and what is attached here. An instance that moves from
// another gateway, or to one, is listed twice for a moment: here is nearer. The lock is held.
func (s *Servers) merge(listed, attached []rpc.Instance) []rpc.Instance {
	here := make(map[string]bool, len(attached))
	for _, i := range attached {
		here[i.ID] = true
	}
	list := slices.Clone(attached)
	for _, i := range listed {
		if !here[i.ID] && (i.BootID == "" || i.BootID != s.bootID) {
			list = append(list, i)
		}
	}
	return list
}

// view is a watch of a topic. The lock of the servers guards its fields.
type view struct {
	servers *Servers
	topic   registry.Topic
	watch   *registry.Watch

	known  bool // the other registry has said something
	listed []rpc.Instance
	failed error // why the other registry cannot be read
}

// Watch implements [registry.Registry]. Changes of what is attached are told at once.
func (r *merged) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	s := r.servers
	v := &view{servers: s, topic: topic, watch: registry.StartWatch(notify)}
	s.mu.Lock()
	s.views[v] = true
	s.mu.Unlock()
	outer := r.Registry.Watch(topic, v.update)
	return func() {
		outer()
		s.mu.Lock()
		delete(s.views, v)
		s.mu.Unlock()
		v.watch.Stop()
	}
}

// update takes in what the other registry says.
func (v *view) update(u registry.Update) {
	v.servers.mu.Lock()
	defer v.servers.mu.Unlock()
	v.known = true
	if v.failed = u.Err; u.Err == nil {
		v.listed = u.Instances
	}
	v.send(u.Reset)
}

// deliver tells the user of the watch what is known now. The lock is held.
func (v *view) deliver() {
	if v.known {
		v.send(false)
	}
}

// send sends what is known, with the failure of the other registry after it. The lock is held.
func (v *view) send(reset bool) {
	var attached []rpc.Instance
	for _, i := range v.servers.instances() {
		if i.Exchange == v.topic.Exchange && i.Topic == v.topic.Name {
			attached = append(attached, i)
		}
	}
	if list := v.servers.merge(v.listed, attached); v.failed == nil || len(list) > 0 {
		v.watch.Send(registry.Update{Instances: list, Reset: reset})
	}
	if v.failed != nil {
		v.watch.Send(registry.Update{Err: v.failed})
	}
}

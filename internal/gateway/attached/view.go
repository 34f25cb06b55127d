package attached

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Registry returns a registry for the gateway's clients. It has the attached instances, and the
// instances of outer, except those that this gateway itself announced.
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

// merge returns the attached instances and those that the outer registry listed, without this
// gateway's own announcements. While an instance moves between gateways, it may be in both lists;
// then only the attached one is returned. The lock is held.
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

	known  bool // the outer registry has sent an update
	listed []rpc.Instance
	failed error // why the outer registry cannot be read; nil if it can
}

// Watch implements [registry.Registry]. It sends an update for each change of the outer registry,
// and at once for each change of the attached instances.
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

// update handles an update of the outer registry.
func (v *view) update(u registry.Update) {
	v.servers.mu.Lock()
	defer v.servers.mu.Unlock()
	v.known = true
	if v.failed = u.Err; u.Err == nil {
		v.listed = u.Instances
	}
	v.send(u.Reset)
}

// deliver sends the current instances to the watch, unless the outer registry has not sent an
// update yet. The lock is held.
func (v *view) deliver() {
	if v.known {
		v.send(false)
	}
}

// send sends the current instances to the watch, and after them the error of the outer registry, if
// there is one. The lock is held.
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

// Package memory is a registry within one process, for tests and for programs that call themselves.
package memory

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// handle is one opened registry. All handles with the same name share a hub.
type handle struct {
	hub *hub
}

// Open opens memory:// or memory://NAME. Handles with the same name see each other; the empty name
// is also a name. A registry exists as long as it has a handle.
func Open(u *url.URL) (registry.Registry, error) {
	if u.Scheme != "memory" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: fmt.Sprintf(
			"transport URL %q: an in-memory registry has nothing but a name: write memory:// or memory://NAME", u.Redacted())}
	}
	r := &handle{}
	r.hub = join(u.Host, r)
	return r, nil
}

// String names the registry in errors.
func (r *handle) String() string { return "this process" }

// Publish implements [registry.Registry].
func (r *handle) Publish(_ context.Context, instances []rpc.Instance) error {
	if !r.hub.publish(r, slices.Clone(instances)) {
		return closed("Publish")
	}
	return nil
}

// Watch implements [registry.Registry]. Changes made through other handles arrive at once.
func (r *handle) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	if !r.hub.watch(r, topic, w) {
		w.Stop()
	}
	return func() {
		r.hub.unwatch(r, w)
		w.Stop()
	}
}

// List implements [registry.Registry].
func (r *handle) List(context.Context) ([]rpc.Instance, error) {
	return r.hub.list(), nil
}

// Close implements [registry.Registry].
func (r *handle) Close(context.Context) error {
	for _, w := range r.hub.leave(r) {
		w.Stop()
	}
	return nil
}

func closed(operation string) error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: operation + " on a registry that is closed"}
}

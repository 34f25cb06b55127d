// Package static is a registry of addresses that are written in the transport URL.
package static

import (
	"context"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/discovery/watch"
)

// registry knows the instances that it was opened with.
type registry struct {
	instances []discovery.Instance

	mu      sync.Mutex
	watches map[*watch.Watch]bool
}

// Open opens what follows static:// in a transport URL:
//
//	topic=host:port,topic/server=host:port,...
//
// It takes the text, since url.Parse refuses such a host. Topic and server are percent-encoded where they
// have one of the characters "% , / = ?"; instead of host:port there may be unix:/path, encoded likewise. A topic may have
// several addresses, with and without server names. All are in the exchange.
func Open(rest, exchange string) (discovery.Registry, error) {
	instances, err := parse(rest, exchange)
	if err != nil {
		return nil, err
	}
	return &registry{instances: instances, watches: map[*watch.Watch]bool{}}, nil
}

// Publish implements [discovery.Registry]. It does nothing: the addresses are what was configured.
func (r *registry) Publish(context.Context, []discovery.Instance) error { return nil }

// Elsewhere implements [discovery.Elsewhere]: nobody sees what is published.
func (r *registry) Elsewhere() bool { return true }

// Watch implements [discovery.Registry].
func (r *registry) Watch(topic discovery.Topic, notify func(discovery.Update)) (stop func()) {
	w := watch.Start(notify)
	var instances []discovery.Instance
	for _, i := range r.instances {
		if i.Exchange == topic.Exchange && i.Topic == topic.Name {
			instances = append(instances, i)
		}
	}
	w.Send(discovery.Update{Instances: instances})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watches[w] = true
	return func() { r.stop(w) }
}

func (r *registry) stop(w *watch.Watch) {
	r.mu.Lock()
	delete(r.watches, w)
	r.mu.Unlock()
	w.Stop()
}

// List implements [discovery.Registry].
func (r *registry) List(context.Context) ([]discovery.Instance, error) {
	return slices.Clone(r.instances), nil
}

// Close implements [discovery.Registry].
func (r *registry) Close() error {
	r.mu.Lock()
	watches := r.watches
	r.watches = map[*watch.Watch]bool{}
	r.mu.Unlock()
	for w := range watches {
		w.Stop()
	}
	return nil
}

// Package static is a registry of addresses that the transport URL lists.
package static

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// handle has the instances of one transport URL.
type handle struct {
	instances []rpc.Instance

	mu      sync.Mutex
	watches map[*registry.Watch]bool
}

// Open opens a registry. Rest is the part of the transport URL after static://:
//
//	topic=host:port,topic/server=host:port,topic=host:port;zone=az1,...
//
// Open has the parameter rest and not a *url.URL, since url.Parse refuses such a host. In topic,
// server and zone, the characters "% , / = ? ;" are percent-encoded. In place of host:port, an
// address may be unix:/path, encoded in the same way, or xds:///NAME, which an xDS control plane
// resolves. A topic may have several addresses, with and without server names. All instances are in
// the exchange.
func Open(rest, exchange string) (registry.Registry, error) {
	instances, err := parse(rest, exchange)
	if err != nil {
		return nil, err
	}
	return &handle{instances: instances, watches: map[*registry.Watch]bool{}}, nil
}

// String returns the name of the registry in errors.
func (r *handle) String() string { return "the addresses in the transport URL" }

// Publish implements [registry.Registry]. It only checks the instances, since the URL configures
// the addresses.
func (r *handle) Publish(_ context.Context, instances []rpc.Instance) error {
	for _, i := range instances {
		if err := r.Check(i); err != nil {
			return err
		}
	}
	return nil
}

// Check implements [registry.Checker]. If the URL has addresses for a topic, an instance on the
// topic must be at one of them.
func (r *handle) Check(i rpc.Instance) error {
	var configured []string
	for _, known := range r.instances {
		if known.Exchange == i.Exchange && known.Topic == i.Topic {
			configured = append(configured, known.Addr)
		}
	}
	if len(configured) == 0 || slices.ContainsFunc(configured, func(addr string) bool { return mayBe(addr, i.Addr) }) {
		return nil
	}
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: fmt.Sprintf(
		"it is at %s, where no message goes: the transport URL has the topic at %s; listen there with WithListen, or say with WithAdvertise "+
			"which of them leads here", i.Addr, strings.Join(configured, ", "))}
}

// mayBe reports whether two addresses may be the same. It does not look up names: a name may be any
// address.
func mayBe(a, b string) bool {
	if a == b {
		return true
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB {
		return false
	}
	ipA, errA := netip.ParseAddr(hostA)
	ipB, errB := netip.ParseAddr(hostB)
	return errA != nil || errB != nil || ipA == ipB // one of them may be a name
}

// Elsewhere implements [registry.Elsewhere]: other processes do not see published instances.
func (r *handle) Elsewhere() bool { return true }

// Watch implements [registry.Registry].
func (r *handle) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	var instances []rpc.Instance
	for _, i := range r.instances {
		if i.Exchange == topic.Exchange && i.Topic == topic.Name {
			instances = append(instances, i)
		}
	}
	w.Send(registry.Update{Instances: instances})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watches[w] = true
	return func() { r.stop(w) }
}

func (r *handle) stop(w *registry.Watch) {
	r.mu.Lock()
	delete(r.watches, w)
	r.mu.Unlock()
	w.Stop()
}

// List implements [registry.Registry].
func (r *handle) List(context.Context) ([]rpc.Instance, error) {
	return slices.Clone(r.instances), nil
}

// Close implements [registry.Registry].
func (r *handle) Close(context.Context) error {
	r.mu.Lock()
	watches := r.watches
	r.watches = map[*registry.Watch]bool{}
	r.mu.Unlock()
	for w := range watches {
		w.Stop()
	}
	return nil
}

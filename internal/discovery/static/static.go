// Package static is a registry of addresses that are written in the transport URL.
package static

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/discovery/watch"
	"github.com/oslorpc/oslorpc/pkg/rpc"
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
// It takes the text, since url.Parse refuses such a host. Topic and server are percent-encoded
// where they have one of the characters "% , / = ?"; instead of host:port there may be unix:/path,
// encoded likewise. A topic may have several addresses, with and without server names. All are in
// the exchange.
func Open(rest, exchange string) (discovery.Registry, error) {
	instances, err := parse(rest, exchange)
	if err != nil {
		return nil, err
	}
	return &registry{instances: instances, watches: map[*watch.Watch]bool{}}, nil
}

// Publish implements [discovery.Registry]. It announces nothing, since the addresses are
// configured.
func (r *registry) Publish(_ context.Context, instances []discovery.Instance) error {
	for _, i := range instances {
		if err := r.Check(i); err != nil {
			return err
		}
	}
	return nil
}

// Check implements [discovery.Checker]: an instance on a topic that has addresses must be at one
// of them.
func (r *registry) Check(i discovery.Instance) error {
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

// mayBe reports whether two addresses may be the same place, as far as one can tell without
// looking up names.
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
	return errA != nil || errB != nil || ipA == ipB // a name may be anything
}

// Elsewhere implements [discovery.Elsewhere]: other processes do not see what is published.
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
func (r *registry) Close(context.Context) error {
	r.mu.Lock()
	watches := r.watches
	r.watches = map[*watch.Watch]bool{}
	r.mu.Unlock()
	for w := range watches {
		w.Stop()
	}
	return nil
}

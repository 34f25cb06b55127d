package fleet

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

var compute = registry.Topic{Exchange: "openstack", Name: "compute"}

// handle is a registry whose updates the test sets.
type handle struct {
	registry.Registry

	mu      sync.Mutex
	watches map[registry.Topic]func(registry.Update)
	started int // watches, ever
}

func (r *handle) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watches[topic] != nil {
		panic("a topic is watched twice")
	}
	if r.watches == nil {
		r.watches = map[registry.Topic]func(registry.Update){}
	}
	r.watches[topic] = notify
	r.started++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watches, topic)
	}
}

// tell sends an update of the topic compute, if it is watched.
func (r *handle) tell(u registry.Update) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if notify := r.watches[compute]; notify != nil {
		notify(u)
	}
}

// list makes the registry list exactly these instances.
func (r *handle) list(instances ...rpc.Instance) {
	r.tell(registry.Update{Instances: instances})
}

// lose makes the registry lose all data except for these instances.
func (r *handle) lose(instances ...rpc.Instance) {
	r.tell(registry.Update{Instances: instances, Reset: true})
}

func (r *handle) fail(err error) { r.tell(registry.Update{Err: err}) }

func (r *handle) watched() []registry.Topic {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.watches))
}

// world is a fleet with a registry and a network.
type world struct {
	registry *handle
	network  *peertest.Network
	fleet    *Fleet
	topic    *Topic
}

// newWorld returns a fleet that watches the topic compute. It is closed when the test ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{registry: &handle{}, network: &peertest.Network{}}
	w.fleet = New(w.registry, grpccarrier.New(grpccarrier.Config{Peers: peer.Config{Dial: w.network.Dial}}), "", slog.New(slog.DiscardHandler))
	t.Cleanup(w.fleet.Close)
	w.topic = w.fleet.Topic(compute)
	return w
}

// peerOf returns the peer of an entry.
func peerOf(e *route.Entry) *peer.Peer { return e.Link.(grpccarrier.Link).Peer }

// instance returns an active instance in a separate process.
func instance(id string, changes ...func(*rpc.Instance)) rpc.Instance {
	i := rpc.Instance{
		ID: id, BootID: "boot-" + id, Exchange: compute.Exchange, Topic: compute.Name, Server: "host-" + id,
		Addr: "addr-" + id, State: rpc.StateActive,
	}
	for _, change := range changes {
		change(&i)
	}
	return i
}

// connect makes the process of an instance serve, and connects to it.
func (w *world) connect(t *testing.T, id string) (kill func()) {
	t.Helper()
	kill = w.network.Serve("addr-"+id, nil)
	if err := w.entry(t, id).Link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return kill
}

// entry returns the entry of an instance in the view.
func (w *world) entry(t *testing.T, id string) *route.Entry {
	t.Helper()
	for _, e := range w.topic.Now().Entries() {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("%s is not in the view", id)
	return nil
}

// listed returns the IDs of the entries in the view, except for instances that left.
func (w *world) listed() []string {
	return ids(slices.DeleteFunc(slices.Clone(w.topic.Now().Entries()), func(e *route.Entry) bool { return e.Left }))
}

// reached returns the IDs of the instances that messages reach, in order.
func (w *world) reached() []string {
	entries, _, _ := w.topic.Now().All(route.Query{})
	list := ids(entries)
	slices.Sort(list)
	return list
}

func ids(entries []*route.Entry) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.ID
	}
	return list
}

// expect checks which instances are in the view, and which of them messages reach.
func (w *world) expect(t *testing.T, when string, listed, reached []string) {
	t.Helper()
	if got := w.listed(); !slices.Equal(got, listed) {
		t.Errorf("%s: the view has %v, want %v", when, got, listed)
	}
	if got := w.reached(); !slices.Equal(got, reached) {
		t.Errorf("%s: messages reach %v, want %v", when, got, reached)
	}
}

func none() []string { return []string{} }

// brief returns a context that ends soon.
func brief(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var errAway = errors.New("the agent is away")

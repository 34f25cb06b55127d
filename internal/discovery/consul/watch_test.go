package consul

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestServicesOfOthers has services under the name of a topic that are not instances of the topic.
func TestServicesOfOthers(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	log := &lockedBuffer{}
	r.topics.log = slog.New(slog.NewTextHandler(log, nil))
	name := serviceName(compute)
	foreign := func(id string, meta map[string]string) {
		must(t, r.client.api.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: name, Address: "127.0.0.1", Port: 1, Meta: meta}))
		t.Cleanup(func() { must(t, r.client.api.Agent().ServiceDeregister(id)) })
	}
	foreign("broken", map[string]string{"some": "thing"})
	lies, err := instanceService(instance("lies"), newIDs("lies"), "P")
	must(t, err)
	lies.Meta[metaTopic] = "Compute"
	foreign("lies", lies.Meta)

	w := watchCompute(t, r)
	w.list()
	one := instance("one")
	for range 2 {
		publish(t, r, one)
		w.list(one)
		publish(t, r)
		w.list()
	}
	text := log.String()
	if strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "services=2 example=lies") {
		t.Errorf("logged, where one line was wanted, of both services:\n%s", text)
	}
	if listed, err := r.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("List: %v, %v, want no instance", listed, err)
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestSharedQuery has two watches of one topic, and watches of another topic.
func TestSharedQuery(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	ignore := func(registry.Update) {}
	open := func() int {
		r.topics.mu.Lock()
		defer r.topics.mu.Unlock()
		return len(r.topics.open)
	}
	first, second := r.Watch(compute, ignore), r.Watch(compute, ignore)
	other := r.Watch(registry.Topic{Exchange: "nova", Name: "other"}, ignore)
	if got := open(); got != 2 {
		t.Errorf("%d queries for two topics", got)
	}
	first()
	first()
	other()
	if got := open(); got != 1 {
		t.Errorf("%d queries for one topic", got)
	}
	second()
	if got := open(); got != 0 {
		t.Errorf("%d queries without a watch", got)
	}
	again := watchCompute(t, r)
	again.list()
}

// TestStreaming checks that our queries do not make Consul use the backend that wakes for each
// change of any service.
func TestStreaming(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	publish(t, r, instance("one"))
	q := r.client.watching(1).WithContext(t.Context())
	_, meta, err := r.client.api.Health().Service(serviceName(compute), "", true, q)
	if err != nil || meta.QueryBackend != api.QueryBackendStreaming {
		t.Errorf("a watch: %+v, %v, want it from the backend %q", meta, err, api.QueryBackendStreaming)
	}
}

func TestDataCenter(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL()+"?dc=nowhere")
	if _, err := r.List(t.Context()); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "datacenter") {
		t.Errorf("List: %v, want an error of kind %q about the datacenter", err, rpc.Unreachable)
	}
	if err := watchCompute(t, r).failure(); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("Watch: %v, want an error of kind %q", err, rpc.Unreachable)
	}
	// The agent itself has what is published.
	publish(t, r, instance("one"))
	here := open(t, agent.URL()+"?dc=dc1")
	if listed, err := here.List(t.Context()); err != nil || len(listed) != 1 {
		t.Errorf("List in the agent's data center: %v, %v, want one instance", listed, err)
	}
}

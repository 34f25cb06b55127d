package consul

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/registry/registrytest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// patience is how long a change may take to become visible. It is generous, since it matters only
// for a failure.
const patience = 2 * time.Minute

// slack is how much longer a change may take than on an idle machine. The faults that these tests
// detect take minutes.
const slack = 30 * time.Second

func TestMain(m *testing.M) {
	if address := os.Getenv(publishTo); address != "" {
		publishUntilKilled(address)
	}
	leak.Main(m)
}

// open opens a handle that logs to the test. The handle is closed when the test ends.
func open(t *testing.T, address string) *Registry {
	t.Helper()
	r := openUnclosed(t, address)
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

func openUnclosed(t *testing.T, address string) *Registry {
	t.Helper()
	r, err := Open(address, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// instance returns an instance of the topic compute in a separate process.
func instance(server string) rpc.Instance {
	return rpc.Instance{
		ID: rand.Text(), BootID: rand.Text(), Exchange: "nova", Topic: "compute", Server: server, Addr: "127.0.0.1:5000",
		State: rpc.StateActive, Implemented: []rpc.Implementation{{Version: rpc.Version{Major: 6, Minor: 4}}},
	}
}

var compute = registry.Topic{Exchange: "nova", Name: "compute"}

func publish(t *testing.T, r *Registry, list ...rpc.Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Publish(ctx, list); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

// watched receives the updates of a watch.
type watched struct {
	t       *testing.T
	updates chan registry.Update
}

func watchCompute(t *testing.T, r *Registry) watched {
	t.Helper()
	w := watched{t, make(chan registry.Update, 1000)}
	t.Cleanup(r.Watch(compute, func(u registry.Update) { w.updates <- u }))
	return w
}

// until returns the next update that wanted accepts, and drops the updates before.
func (w watched) until(what string, wanted func(registry.Update) bool) registry.Update {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case u := <-w.updates:
			if wanted(u) {
				return u
			}
		case <-timeout:
			w.t.Fatalf("no update that %s", what)
		}
	}
}

// list waits for an update with exactly these instances.
func (w watched) list(want ...rpc.Instance) {
	w.t.Helper()
	registry.Sort(want)
	w.until(fmt.Sprintf("has %v", want), func(u registry.Update) bool { return u.Err == nil && registry.Same(u.Instances, want) })
}

// failure waits for an error.
func (w watched) failure() error {
	w.t.Helper()
	return w.until("has an error", func(u registry.Update) bool { return u.Err != nil }).Err
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not after %s: %s", patience, what)
		}
	}
}

// registrationOf returns r's registration of an instance.
func registrationOf(t *testing.T, r *Registry, i rpc.Instance) *registration {
	t.Helper()
	p := r.publisher
	must(t, p.take(t.Context()))
	defer p.give()
	for _, w := range p.wanted[min(1, len(p.wanted)):] {
		if w.instance.ID == i.ID {
			return w
		}
	}
	t.Fatalf("nothing is registered for %v", i)
	return nil
}

// registered returns the IDs of the services at the agent.
func registered(t *testing.T, r *Registry) []string {
	t.Helper()
	services, err := r.client.api.Agent().Services()
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 0, len(services))
	for id := range services {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func TestSuite(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	registrytest.Suite(t, func(t *testing.T) registry.Registry {
		t.Helper()
		return openUnclosed(t, agent.URL())
	})
}

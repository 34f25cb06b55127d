package consul

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// modified returns Consul's index of the last change of each service, by ID.
func modified(t *testing.T, r *Registry, name string) map[string]uint64 {
	t.Helper()
	entries, _, err := r.client.api.Health().Service(name, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]uint64{}
	for _, e := range entries {
		at[e.Service.ID] = e.Service.ModifyIndex
	}
	return at
}

func TestPublishUnchanged(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	one, two := instance("one"), instance("two")
	two.BootID = one.BootID
	publish(t, r, one, two)
	w := watchCompute(t, r)
	w.list(one, two)
	name := serviceName(compute)
	before := modified(t, r, name)
	two.State = rpc.StateDraining
	publish(t, r, one, two)
	w.list(one, two)
	after := modified(t, r, name)
	if id := registrationOf(t, r, one).ID; before[id] != after[id] {
		t.Errorf("an instance that did not change was registered again: index %d, then %d", before[id], after[id])
	}
	if id := registrationOf(t, r, two).ID; before[id] == after[id] {
		t.Errorf("an instance that changed was not registered again: index %d", after[id])
	}
}

// TestTwoHandles opens Consul twice in one program.
func TestTwoHandles(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	a, b := open(t, agent.URL()), open(t, agent.URL())
	one, two := instance("one"), instance("two")
	two.BootID, two.Addr = one.BootID, "127.0.0.1:5001"
	publish(t, a, one)
	publish(t, b, two)
	w := watchCompute(t, b)
	w.list(one, two)
	publish(t, a)
	w.list(two)
	if got, want := registered(t, b), slices.Sorted(maps.Keys(b.publisher.placed)); !slices.Equal(got, want) {
		t.Errorf("the agent has %v, want %v", got, want)
	}
}

// TestPublishRefused makes Consul refuse the second of two instances.
func TestPublishRefused(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	bad := instance(strings.Repeat("x", 513))
	good, later := instance("good"), instance("later")
	good.BootID, later.BootID = bad.BootID, bad.BootID

	if err := r.Publish(t.Context(), []rpc.Instance{good, bad}); !errors.Is(err, rpc.Invalid) {
		t.Errorf("first Publish: %v, want an error of kind %q", err, rpc.Invalid)
	}
	if got := registered(t, r); len(got) != 0 {
		t.Errorf("after a first Publish that failed the agent has %v, want nothing", got)
	}
	publish(t, r, good)
	before := registered(t, r)
	if err := r.Publish(t.Context(), []rpc.Instance{later, bad}); !errors.Is(err, rpc.Invalid) {
		t.Errorf("second Publish: %v, want an error of kind %q", err, rpc.Invalid)
	}
	eventually(t, "only what was published before is there", func() bool { return slices.Equal(registered(t, r), before) })
	watchCompute(t, r).list(good)
}

// TestMaintenance has an operator who drains an instance while the publisher constantly repairs.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL()+"?ttl=1s")
	r.publisher.lookEvery = 1
	drained, other := instance("drained"), instance("other")
	drained.BootID = other.BootID
	publish(t, r, drained, other)
	w := watchCompute(t, open(t, agent.URL()))
	w.list(drained, other)

	operator := r.client.api.Agent()
	drainedID, otherID := registrationOf(t, r, drained).ID, registrationOf(t, r, other).ID
	must(t, operator.EnableServiceMaintenance(drainedID, "testing"))
	seen := drained
	seen.State = rpc.StateDraining
	w.list(seen, other)
	must(t, operator.ServiceDeregister(otherID))
	eventually(t, "what was removed is registered again", func() bool { return slices.Contains(registered(t, r), registrationOf(t, r, other).ID) })
	drained.State = rpc.StateHeld
	publish(t, r, drained, other)
	checks, err := operator.ChecksWithFilter(`CheckID matches "maintenance"`)
	if err != nil || len(checks) != 1 {
		t.Errorf("checks for maintenance: %v, %v, want one", checks, err)
	}
	must(t, operator.DisableServiceMaintenance(drainedID))
	w.list(drained, other)
}

// TestWarning has a check of the node that warns, for example about a disk that is nearly full, and
// then fails.
func TestWarning(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	one := instance("one")
	publish(t, r, one)
	operator := r.client.api.Agent()
	must(t, operator.CheckRegister(&api.AgentCheckRegistration{
		ID: "disk", Name: "disk", AgentServiceCheck: api.AgentServiceCheck{TTL: "1h", Status: api.HealthPassing},
	}))
	w := watchCompute(t, r)
	w.list(one)
	must(t, operator.UpdateTTL("disk", "nearly full", api.HealthWarning))
	eventually(t, "Consul lists the warning with the instance", func() bool {
		entries, _, err := r.client.api.Health().Service(serviceName(compute), "", false, nil)
		return err == nil && len(entries) == 1 && entries[0].Checks.AggregatedStatus() == api.HealthWarning
	})
	if listed, err := r.List(t.Context()); err != nil || !registry.Same(listed, []rpc.Instance{one}) {
		t.Errorf("List while the node warns: %v, %v, want the instance", listed, err)
	}
	must(t, operator.UpdateTTL("disk", "full", api.HealthCritical))
	w.list()
	must(t, operator.UpdateTTL("disk", "nearly full", api.HealthWarning))
	w.list(one)
	must(t, operator.CheckDeregister("disk"))
}

// TestLostCheck removes the check that keeps the process alive, but not its service.
func TestLostCheck(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL()+"?ttl=1s")
	publish(t, r, instance("one"))
	operator := r.client.api.Agent()
	check := r.publisher.wanted[0].Check.CheckID
	must(t, operator.CheckDeregister(check))
	eventually(t, "the check is there again", func() bool {
		checks, err := operator.Checks()
		return err == nil && checks[check] != nil && checks[check].Status == api.HealthPassing
	})
}

func TestPublishUnreachable(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := openUnclosed(t, agent.URL())
	agent.Kill()
	if err := r.Publish(t.Context(), []rpc.Instance{instance("one")}); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("Publish without Consul: %v, want an error of kind %q", err, rpc.Unreachable)
	}
	if r.publisher.heart != nil {
		t.Error("a heart beats after a first Publish that failed")
	}
	if err := r.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := r.Publish(t.Context(), nil); !errors.Is(err, rpc.Invalid) {
		t.Errorf("Publish after Close: %v, want an error of kind %q", err, rpc.Invalid)
	}
}

// TestFrozen has a Consul that accepts connections and never answers.
func TestFrozen(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := openUnclosed(t, agent.URL())
	one := instance("one")
	publish(t, r, one)
	w := watchCompute(t, r)
	w.list(one)
	agent.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Publish(ctx, nil); !errors.Is(err, rpc.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("Publish: %v, want an error of kind %q", err, rpc.Canceled)
	}
	if err := r.Close(context.Background()); !errors.Is(err, rpc.Unreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v, want an error of kind %q", err, rpc.Unreachable)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

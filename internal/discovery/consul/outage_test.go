package consul

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// age increases the agent's index beyond the index of an agent that has just started.
func age(t *testing.T, r *Registry) {
	t.Helper()
	for n := range 200 {
		_, err := r.client.api.KV().Put(&api.KVPair{Key: fmt.Sprint(n)}, nil)
		must(t, err)
	}
}

// TestOutage kills Consul and starts it again without its data.
func TestOutage(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	a, b := open(t, agent.URL()), open(t, agent.URL())
	lapses := make(chan string, 100)
	a.Lapses(func(reason string) { lapses <- reason })
	age(t, a)
	one, other := instance("one"), instance("other")
	other.BootID, other.Topic = one.BootID, "another"
	publish(t, a, one, other)
	w := watchCompute(t, b)
	w.list(one)

	agent.Kill()
	if err := w.failure(); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), agent.Addr()) {
		t.Errorf("the watch failed with %v, want an error of kind %q that names %s", err, rpc.Unreachable, agent.Addr())
	}
	if _, err := b.List(t.Context()); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("List: %v, want an error of kind %q", err, rpc.Unreachable)
	}
	// A new watch gets the last list first, and the error only after that.
	late := watchCompute(t, b)
	late.list(one)
	late.failure()
	if err := a.Publish(t.Context(), nil); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("Publish: %v, want an error of kind %q", err, rpc.Unreachable)
	}

	agent.Restart()
	start := time.Now()
	u := w.until("is a list", func(u registry.Update) bool {
		if u.Err != nil {
			t.Errorf("the error was reported again: %v", u.Err)
		}
		return u.Err == nil
	})
	t.Logf("the watch recovered after %s with %d instances", time.Since(start), len(u.Instances))
	if !u.Reset {
		t.Error("the first list of a Consul that lost its data has no Reset")
	}
	if !registry.Same(u.Instances, []rpc.Instance{one}) {
		w.list(one)
	}
	t.Logf("the instance was back after %s", time.Since(start))
	late.list(one)
	if reason := <-lapses; !strings.Contains(reason, "lost the registration") && !strings.Contains(reason, "no sign of life") {
		t.Errorf("the lapse was because %s", reason)
	}
	// The Publish that failed changed nothing.
	eventually(t, "both instances and their process are registered", func() bool { return len(registered(t, b)) == 3 })
	publish(t, a)
	w.list()
}

// TestStartDuringOutage starts watches before Consul.
func TestStartDuringOutage(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	agent.Kill()
	r := open(t, agent.URL())
	w := watchCompute(t, r)
	w.failure()
	late := watchCompute(t, r)
	late.failure()
	agent.Restart()
	u := w.until("is a list", func(u registry.Update) bool { return u.Err == nil })
	if u.Reset || len(u.Instances) != 0 {
		t.Errorf("the first list is %+v, want an empty one without Reset", u)
	}
	late.list()
	one := instance("one")
	publish(t, r, one)
	w.list(one)
	late.list(one)
}

package main

import (
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Updates are ordered by priority and then by arrival. Updates without a priority, such as those
// from an old server, come last.
func TestQueueOrder(t *testing.T) {
	q := newQueue()
	for _, c := range []struct {
		id       string
		priority oslorpc.Opt[int]
	}{
		{"f", oslorpc.Opt[int]{}}, {"c", oslorpc.Some(3)}, {"a", oslorpc.Some(0)}, {"d", oslorpc.Some(3)}, {"e", oslorpc.Some(5)},
		{"g", oslorpc.Some(neutronrpc.PriorityPort)}, {"b", oslorpc.Some(1)},
	} {
		q.add(update{networkID: c.id, payload: neutronrpc.DhcpPayload{Priority: c.priority}})
	}
	var got []string
	for u, ok, _ := q.next(); ok; u, ok, _ = q.next() {
		got = append(got, u.networkID)
	}
	if want := []string{"a", "b", "c", "d", "e", "f", "g"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q", got)
	}
}

// While an update of a network is in progress, further updates of this network wait, and updates of
// other networks do not.
func TestQueueOfBusyNetworks(t *testing.T) {
	q := newQueue()
	for _, id := range []string{"a", "a", "b", "a"} {
		q.add(update{networkID: id})
	}
	next := func(want string, arrived int) update {
		t.Helper()
		u, ok, _ := q.next()
		if !ok || u.networkID != want || u.arrived != arrived {
			t.Fatalf("got %+v, %v; want number %d of %s", u, ok, arrived, want)
		}
		return u
	}
	first := next("a", 1)
	next("b", 3)
	_, ok, changed := q.next()
	if ok {
		t.Error("an update was taken of a busy network")
	}
	q.done(first)
	select {
	case <-changed:
	default:
		t.Error("done does not tell those who wait")
	}
	q.done(next("a", 2))
	next("a", 4)
}

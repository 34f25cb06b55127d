package main

import (
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Updates have the order of their priorities, and of their arrival; what has no priority, as from a server of old, comes last.
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
	for u, ok := q.next(); ok; u, ok = q.next() {
		got = append(got, u.networkID)
	}
	if want := []string{"a", "b", "c", "d", "e", "f", "g"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q", got)
	}
}

package oslorpc_test

import (
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A message that exceeds the rate of its caller is refused before it is decoded, and goes to
// another server if there is one.
func TestRateOfACallerIsBounded(t *testing.T) {
	limited := open(t, oslorpc.WithLimits(rpc.Limits{CallerRate: 3}))
	a := newAgent("node1")
	s := serveOn(t, limited, oslorpc.Target{Topic: "agents", Server: "node1"}, a.endpoint("1.0"))
	c := client(t, oslorpc.WithServer("node1"), oslorpc.WithRetry(0), oslorpc.WithTimeout(time.Minute))
	for range 3 {
		must(t, c.Cast(t.Context(), "note", nil))
	}
	refused := 0
	for range 20 {
		switch err := c.Cast(t.Context(), "note", nil); {
		case err == nil:
		case oslorpc.KindOf(err) != oslorpc.Refused || !oslorpc.SafeToRetry(err):
			t.Fatal(err)
		default:
			refused++
		}
	}
	if refused == 0 {
		t.Error("none was refused")
	}
	serve(t, "node2", newAgent("node2").endpoint("1.0"))
	anyone := client(t, oslorpc.WithTimeout(time.Minute))
	for range 20 {
		must(t, anyone.Cast(t.Context(), "note", nil))
	}
	must(t, s.Stop(t.Context()))
	if ran := a.casts.Load(); ran < 3 {
		t.Errorf("%d casts ran", ran)
	}
}

package oslorpc_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// capFleet starts servers whose names are their versions.
func capFleet(t *testing.T, versions ...string) *oslorpctest.Fleet {
	t.Helper()
	f := oslorpctest.New(t)
	for _, v := range versions {
		f.Serve(oslorpc.Target{Topic: "agents", Server: v}, []oslorpc.Endpoint{newAgent(v).endpoint(v)})
	}
	return f
}

// TestAutoCostsNoMemory checks that an automatic cap allocates nothing, even while a server that
// left recently still counts.
func TestAutoCostsNoMemory(t *testing.T) {
	f := capFleet(t, "1.0", "1.1", "1.2")
	c := f.Client(oslorpc.Target{Topic: "agents", Version: "1.1"}, oslorpc.WithVersionCap(oslorpc.AutoCap))
	ctx := t.Context()
	check := func(when string, c *oslorpc.Client, want bool) {
		t.Helper()
		if can, err := c.CanSendVersion(ctx); can != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", when, can, err, want)
		}
		if n := testing.AllocsPerRun(1000, func() { _, _ = c.CanSendVersion(ctx) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", when, n)
		}
	}
	check("while all are there", c, false)
	check("of one server", c.Prepare(oslorpc.WithServer("1.2")), true)
	f.Server("1.0").Stop()
	check("when the oldest has left", c, true)
}

func BenchmarkCanSendVersion(b *testing.B) {
	f := oslorpctest.New(b)
	for _, v := range []string{"1.0", "1.1", "1.2"} {
		f.Serve(oslorpc.Target{Topic: "agents", Server: v}, []oslorpc.Endpoint{newAgent(v).endpoint(v)})
	}
	for _, limit := range []string{"1.1", oslorpc.AutoCap} {
		b.Run(limit, func(b *testing.B) {
			c := f.Client(oslorpc.Target{Topic: "agents", Version: "1.1"}, oslorpc.WithVersionCap(limit))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.CanSendVersion(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

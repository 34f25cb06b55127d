package oslorpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestWhy(t *testing.T) {
	aliases := oslorpc.WithVersionAliases(map[string]string{"epoxy": "1.1"})
	for name, test := range map[string]struct {
		fleet   []string
		limit   string
		state   rpc.CapState
		holders int
		says    []string
	}{
		"none":              {nil, "", oslorpc.CapNone, 0, []string{"no cap"}},
		"fixed":             {nil, "1.4", oslorpc.CapKnown, 0, []string{"fixed: 1.4"}},
		"alias":             {nil, "epoxy", oslorpc.CapKnown, 0, []string{"alias epoxy: 1.1"}},
		"auto, one oldest":  {[]string{"1.0", "1.2"}, "auto", oslorpc.CapKnown, 1, []string{"auto: 1.0", "1.0 (inprocess", "rises to 1.2", "this one leaves"}},
		"auto, all alike":   {[]string{"1.1"}, "auto", oslorpc.CapKnown, 1, []string{"auto: 1.1", "when this one is upgraded"}},
		"auto, nobody":      {nil, "auto", oslorpc.CapNoInstance, 0, []string{"no server implements"}},
		"auto, other major": {[]string{"1.1", "2.0"}, "auto", oslorpc.CapNoCommonVersion, 1, []string{"no common version 1.x", "2.0 (inprocess", "rises to 1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := versionedFleet(t, test.fleet)
			r, err := f.Client(oslorpc.Target{Topic: "topic"}, oslorpc.WithVersionCap(test.limit), aliases).Why(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.State != test.state || len(r.Holders) != test.holders {
				t.Errorf("got %s, held by %v", r.State, r.Holders)
			}
			for _, part := range test.says {
				wantText(t, errorText(r.String()), part)
			}
		})
	}
}

// errorText is a text that implements error, for functions that look at the text of errors.
type errorText string

func (e errorText) Error() string { return string(e) }

func versionedFleet(t *testing.T, versions []string) *oslorpctest.Fleet {
	t.Helper()
	f := oslorpctest.New(t)
	for _, v := range versions {
		f.Serve(oslorpc.Target{Topic: "topic", Server: v}, []oslorpc.Endpoint{{Version: v, Methods: map[string]oslorpc.Method{
			"who": oslorpc.Func(func(context.Context, struct{}) (string, error) { return v, nil }),
		}}})
	}
	return f
}

func TestWhyOfAStaticAddress(t *testing.T) {
	transport, err := oslorpc.Open("static://topic=127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	r, err := transport.Client(oslorpc.Target{Topic: "topic"}, oslorpc.WithVersionCap(oslorpc.AutoCap)).Why(t.Context())
	if err != nil || r.State != oslorpc.CapUnreported {
		t.Errorf("got %v, %v", r, err)
	}
}

// TestAutoWaitsForDiscovery uses an automatic cap before discovery has listed anything, and where
// it never lists anything.
func TestAutoWaitsForDiscovery(t *testing.T) {
	transport, err := oslorpc.Open("consul://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	c := transport.Client(oslorpc.Target{Topic: "topic"}, oslorpc.WithVersionCap(oslorpc.AutoCap), oslorpc.WithTimeout(50*time.Millisecond))
	if can, err := c.CanSendVersion(t.Context()); can || oslorpc.KindOf(err) != oslorpc.Unreachable && oslorpc.KindOf(err) != oslorpc.Timeout {
		t.Errorf("got %v, %v", can, err)
	}
}

// TestRestartingServerIsWaitedFor sends a message that only a restarting server can run.
func TestRestartingServerIsWaitedFor(t *testing.T) {
	f := versionedFleet(t, []string{"1.0", "1.2"})
	c := f.Client(oslorpc.Target{Topic: "topic", Version: "1.2"})
	if _, err := oslorpc.Call[string](t.Context(), c, "who", nil); err != nil {
		t.Fatal(err)
	}
	f.Server("1.2").Kill()
	_, err := oslorpc.Call[string](t.Context(), c.Prepare(oslorpc.WithFailFast(true)), "who", nil)
	wantKind(t, err, oslorpc.UnsupportedVersion, true)
	answered := make(chan error)
	go func() {
		_, err := oslorpc.Call[string](t.Context(), c, "who", nil)
		answered <- err
	}()
	f.Server("1.2").Start()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestCapsCostNoMemory(t *testing.T) {
	f := versionedFleet(t, []string{"1.0", "1.2"})
	for _, limit := range []string{"1.1", oslorpc.AutoCap} {
		c := f.Client(oslorpc.Target{Topic: "topic", Version: "1.0"}, oslorpc.WithVersionCap(limit))
		if can, err := c.CanSendVersion(t.Context()); !can || err != nil {
			t.Fatal(can, err)
		}
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() { _, _ = c.CanSendVersion(ctx) }); n != 0 {
			t.Errorf("cap %s: %v allocations, want none", limit, n)
		}
	}
}

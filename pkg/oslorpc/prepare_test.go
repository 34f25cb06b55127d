package oslorpc_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Each override has three states: if it is not given, the value is kept. None clears the value. Any
// other value replaces it.
func TestPrepareOverrides(t *testing.T) {
	for name, test := range map[string]struct {
		with func(string) oslorpc.ClientOption
		set  func(*oslorpc.Target, string)
		one  string
		two  string
	}{
		"exchange":  {oslorpc.WithExchange, func(t *oslorpc.Target, s string) { t.Exchange = s }, "x1", "x2"},
		"topic":     {oslorpc.WithTopic, func(t *oslorpc.Target, s string) { t.Topic = s }, "t1", "t2"},
		"namespace": {oslorpc.WithNamespace, func(t *oslorpc.Target, s string) { t.Namespace = s }, "n1", "n2"},
		"version":   {oslorpc.WithVersion, func(t *oslorpc.Target, s string) { t.Version = s }, "1.1", "1.2"},
		"server":    {oslorpc.WithServer, func(t *oslorpc.Target, s string) { t.Server = s }, "s1", "s2"},
	} {
		t.Run(name, func(t *testing.T) {
			target := func(value string) oslorpc.Target {
				made := oslorpc.Target{Topic: "base"}
				test.set(&made, value)
				return made
			}
			base := open(t).Client(target(test.one))
			for _, c := range []struct {
				what string
				got  *oslorpc.Client
				want oslorpc.Target
			}{
				{"not given", base.Prepare(), target(test.one)},
				{"replaced", base.Prepare(test.with(test.two)), target(test.two)},
				{"none", base.Prepare(test.with(oslorpc.None)), target(oslorpc.None)},
				{"replaced twice", base.Prepare(test.with("9.9")).Prepare(test.with(test.two)), target(test.two)},
				{"none, then given", base.Prepare(test.with(oslorpc.None)).Prepare(test.with(test.two)), target(test.two)},
				{"untouched", base, target(test.one)},
			} {
				if got := c.got.Target(); got != c.want {
					t.Errorf("%s: got %v, want %v", c.what, got, c.want)
				}
			}
		})
	}
}

func TestPreparedClientsShareTheRoundRobin(t *testing.T) {
	for _, name := range []string{"a", "b", "c"} {
		serve(t, name, newAgent(name).endpoint("1.0"))
	}
	c := client(t)
	seen := map[string]int{}
	for range 9 {
		name, err := oslorpc.Call[string](t.Context(), c.Prepare(oslorpc.WithVersion("1.0")), "whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[name]++
	}
	if seen["a"] == 0 || seen["b"] == 0 || seen["c"] == 0 {
		t.Errorf("9 calls reached %v", seen)
	}
}

func TestVersionCap(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.9"))
	for name, test := range map[string]struct {
		cap, version string
		sent         bool
	}{
		"no cap":             {"", "1.9", true},
		"below":              {"1.5", "1.4", true},
		"at":                 {"1.5", "1.5", true},
		"above":              {"1.5", "1.6", false},
		"other major":        {"2.0", "1.0", false},
		"no version is 1.0":  {"1.0", "", true},
		"1.10 is above 1.9":  {"1.9", "1.10", false},
		"revision above":     {"1.5", "1.5.1", false},
		"revision, minor ok": {"1.5", "1.4.9", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, oslorpc.WithVersionCap(test.cap), oslorpc.WithVersion(test.version))
			_, err := oslorpc.Call[string](t.Context(), c, "whoami", nil)
			if can, err := c.CanSendVersion(t.Context()); can != test.sent || err != nil {
				t.Errorf("it says beforehand that it can send: %v, %v", can, err)
			}
			other := client(t, oslorpc.WithVersionCap(test.cap), oslorpc.WithVersion("3.0"))
			if can, err := other.CanSendVersionOf(t.Context(), test.version); can != test.sent || err != nil {
				t.Errorf("a client of another version says %v, %v", can, err)
			}
			if test.sent && err != nil {
				t.Error(err)
			}
			if !test.sent {
				wantKind(t, err, oslorpc.VersionCapExceeded, true)
				wantKind(t, c.Cast(t.Context(), "whoami", nil), oslorpc.VersionCapExceeded, true)
			}
			if _, err := oslorpc.Call[string](t.Context(), c.Prepare(oslorpc.WithVersionCap(oslorpc.None), oslorpc.WithVersion("1.0")), "whoami", nil); err != nil {
				t.Errorf("without the cap: %v", err)
			}
		})
	}
}

// The version cap applies to the client as prepared, and CanSendVersion with a fixed cap needs no
// server.
func TestCanSendVersion(t *testing.T) {
	c := client(t, oslorpc.WithVersion("1.4"), oslorpc.WithVersionCap("1.2"))
	for name, test := range map[string]struct {
		prepared       *oslorpc.Client
		want, mistaken bool
	}{
		"above the cap":   {c, false, false},
		"another version": {c.Prepare(oslorpc.WithVersion("1.1")), true, false},
		"no version":      {c.Prepare(oslorpc.WithVersion(oslorpc.None)), true, false},
		"another cap":     {c.Prepare(oslorpc.WithVersionCap("1.4")), true, false},
		"no cap":          {c.Prepare(oslorpc.WithVersionCap(oslorpc.None)), true, false},
		"malformed":       {c.Prepare(oslorpc.WithVersionCap(oslorpc.None), oslorpc.WithVersion("1")), false, true},
		"malformed cap":   {c.Prepare(oslorpc.WithVersionCap("1")), false, true},
		"no topic":        {c.Prepare(oslorpc.WithVersion("1.1"), oslorpc.WithTopic(oslorpc.None)), false, true},
	} {
		if got, err := test.prepared.CanSendVersion(t.Context()); got != test.want || (err != nil) != test.mistaken {
			t.Errorf("%s: %v, %v, want %v", name, got, err, test.want)
		}
	}
	if can, err := c.CanSendVersionOf(t.Context(), oslorpc.None); !can || err != nil {
		t.Errorf("of none: %v, %v", can, err)
	}
	can, err := c.CanSendVersionOf(t.Context(), "1.x")
	wantKind(t, err, oslorpc.InvalidTarget, true)
	wantText(t, err, `"1.x"`, "major.minor")
	if can {
		t.Error("what is no version can be sent")
	}
	if can, err := c.Prepare(oslorpc.WithVersionCap("x")).CanSendVersionOf(t.Context(), "1.0"); can || oslorpc.KindOf(err) != oslorpc.Invalid {
		t.Errorf("with a malformed cap: %v, %v", can, err)
	}
	if can, _ := c.CanSendVersion(t.Context()); can || c.Target().Version != "1.4" {
		t.Error("asking changed the client")
	}
}

package conformance

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	noneIsOldest = "upstream refuses every message without a version under a cap, although the server would read 1.0; here it counts as 1.0"
	early        = "upstream takes any text after the second dot; here a malformed version is an error wherever it is given"
)

func TestCanSendVersion(t *testing.T) {
	type test struct {
		row

		limit, version string
		prepare        options
		argument       *string // nil: none is given
		want           bool
	}
	uncapped := options{oslorpc.WithVersionCap(oslorpc.None)}
	each(t, "CS", 11, nil, []test{
		{row{id: "CS1"}, "", "", nil, nil, true},
		{row{id: "CS2"}, "1.1", "1.0", nil, nil, true},
		{row{id: "CS3"}, "2.0", "1.0", options{oslorpc.WithVersionCap("1.1"), oslorpc.WithVersion("1.0")}, nil, true},
		{row{id: "CS4"}, "1.1", "1.0", uncapped, nil, true},
		{row{id: "CS5"}, "1.1", "1.0", uncapped, new("1.1"), true},
		{row{id: "CS6"}, "1.1", "1.0", uncapped, new(oslorpc.None), true},
		{row{id: "CS7"}, "1.0", "1.1", nil, nil, false},
		{row{id: "CS8"}, "2.0", "", options{oslorpc.WithVersion("1.0")}, nil, false},
		{row{id: "CS9"}, "", "1.0", nil, nil, true},
		{row{"CS10", noneIsOldest}, "1.0", "", nil, nil, true},
		{row{"CS11", noneIsOldest}, "1.0", "1.0", nil, new(oslorpc.None), true},
	}, func(t *testing.T, test test) {
		target := oslorpc.Target{Topic: topic, Version: test.version}
		c := open(t).Client(target, oslorpc.WithVersionCap(test.limit)).Prepare(test.prepare...)
		if test.argument == nil {
			if got, err := c.CanSendVersion(t.Context()); err != nil || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
			return
		}
		got, err := c.CanSendVersionOf(t.Context(), *test.argument)
		if err != nil || got != test.want {
			t.Errorf("got %v, %v, want %v", got, err, test.want)
		}
		if prepared, err := c.Prepare(oslorpc.WithVersion(*test.argument)).CanSendVersion(t.Context()); err != nil || prepared != got {
			t.Errorf("a client that is prepared with the version says %v, %v", prepared, err)
		}
	})
}

// oslo.messaging refuses a malformed version when a client is prepared. Here each operation refuses
// it, and so does CanSendVersion.
func TestVersionsOfPrepare(t *testing.T) {
	type test struct {
		row

		version string
		ok      bool
	}
	each(t, "PV", 9, nil, []test{
		{row{id: "PV1"}, "5", false},
		{row{id: "PV2"}, "5.a", false},
		{row{id: "PV3"}, "5.5.a", false},
		{row{"PV4", emptyIsAbsent}, "", true},
		{row{id: "PV5"}, "a", false},
		{row{id: "PV6"}, "1.0.", false},
		{row{id: "PV7"}, oslorpc.None, true},
		{row{id: "PV8"}, "5.5.5", true},
		{row{"PV9", early}, "5.5.5.x", false},
	}, func(t *testing.T, test test) {
		base := open(t).Client(oslorpc.Target{Topic: topic})
		can, err := base.CanSendVersionOf(t.Context(), test.version)
		prepared := base.Prepare(oslorpc.WithVersion(test.version))
		same, _ := prepared.CanSendVersion(t.Context())
		if can != test.ok || same != test.ok {
			t.Errorf("CanSendVersion says %v, and with Prepare %v, want %v", can, same, test.ok)
		}
		if test.ok {
			if err != nil {
				t.Error(err)
			}
			return
		}
		wantKind(t, err, oslorpc.InvalidTarget)
		wantKind(t, prepared.Cast(t.Context(), "foo", nil), oslorpc.InvalidTarget)
	})
}

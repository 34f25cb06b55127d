package typed

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// method returns a method of the test service.
func method(t testing.TB, name string) *Method {
	t.Helper()
	m, err := FindMethod("/typedtest.v1.InventoryService/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func packed(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// needCase is a message of CreateVolume.
type needCase struct {
	name  string
	in    *v1.CreateVolumeRequest
	steps string // what Steps gives
	blame string // of what Floor needs
}

// needCases are also the source of proto/testdata/typed.json.
func needCases(t *testing.T) []needCase {
	t.Helper()
	type create = v1.CreateVolumeRequest
	modes := func(modes ...v1.Mode) *create { return &create{FallbackModes: modes} }
	return []needCase{
		{"nothing", &create{}, "[1.0]", ""},
		{"no rules", &create{Name: "a", Size: 1, Owner: &v1.Label{Name: "b"}}, "[1.0]", ""},
		{"scalar", &create{Description: "a"}, "[1.1 1.0]", ""},
		{"optional at zero", &create{Priority: proto.Int32(0)}, "[1.1]", "priority"},
		{"droppable optional at zero", &create{Weight: proto.Int32(0)}, "[1.2 1.0]", ""},
		{"nested, failing", &create{Placement: &v1.Placement{Rack: "a"}}, "[1.2]", "placement.rack"},
		{"nested, droppable", &create{Placement: &v1.Placement{Hint: "a"}}, "[1.1 1.0]", ""},
		{"nested, both", &create{Placement: &v1.Placement{Hint: "a", Rack: "b"}}, "[1.2]", "placement.rack"},
		{"two steps", &create{Description: "a", Weight: proto.Int32(1)}, "[1.2 1.1 1.0]", ""},
		{"a step and a floor", &create{Description: "a", Weight: proto.Int32(1), Priority: proto.Int32(1)}, "[1.2 1.1]", "priority"},
		{"element", &create{Disks: []*v1.Disk{{}, {Serial: "a"}}}, "[1.2 1.0]", ""},
		{"value in element", &create{Disks: []*v1.Disk{{}, {Mode: v1.Mode_MODE_FAST}}}, "[1.1]", "disks[1].mode: MODE_FAST"},
		{"map of scalars", &create{Labels: map[string]string{"a": "b"}}, "[1.1 1.0]", ""},
		{"map of messages", &create{Roles: map[string]*v1.Disk{"a": {Serial: "b"}}}, "[1.2 1.0]", ""},
		{
			"first of a map", &create{Roles: map[string]*v1.Disk{"c": {}, "b": {Mode: v1.Mode_MODE_FAST}, "a": {Mode: v1.Mode_MODE_FAST}}},
			"[1.1]", `roles["a"].mode: MODE_FAST`,
		},
		{"failing list", &create{Tags: []string{"a"}}, "[1.2]", "tags"},
		{"empty list and map", &create{Tags: []string{}, Labels: map[string]string{}}, "[1.0]", ""},
		{"old value", &create{Mode: v1.Mode_MODE_SLOW}, "[1.0]", ""},
		{"unknown value", &create{Mode: 77}, "[1.0]", ""},
		{"failing value", &create{Mode: v1.Mode_MODE_FAST}, "[1.1]", "mode: MODE_FAST"},
		{"droppable value", &create{Mode: v1.Mode_MODE_BURST}, "[1.2 1.0]", ""},
		{"droppable elements", modes(v1.Mode_MODE_SLOW, v1.Mode_MODE_BURST), "[1.2 1.0]", ""},
		{"only droppable elements", modes(v1.Mode_MODE_BURST, v1.Mode_MODE_BURST), "[1.2 1.0]", ""},
		{"mixed elements", modes(v1.Mode_MODE_BURST, v1.Mode_MODE_FAST), "[1.2 1.1]", "fallback_modes[1]: MODE_FAST"},
		{"map of values", &create{HourlyModes: map[int32]v1.Mode{1: v1.Mode_MODE_BURST}}, "[1.2 1.0]", ""},
		{
			"failing entry", &create{HourlyModes: map[int32]v1.Mode{1: v1.Mode_MODE_BURST, 2: v1.Mode_MODE_FAST}},
			"[1.2 1.1]", "hourly_modes[2]: MODE_FAST",
		},
		{"failing field, old value", &create{IdleMode: v1.Mode_MODE_SLOW}, "[1.1]", "idle_mode"},
		{"failing field, droppable value", &create{IdleMode: v1.Mode_MODE_BURST}, "[1.2 1.0]", ""},
		{"oneof without rule", &create{Source: &v1.CreateVolumeRequest_Snapshot{}}, "[1.0]", ""},
		{"oneof at zero", &create{Source: &v1.CreateVolumeRequest_Image{}}, "[1.1]", "image"},
		{"droppable value in a oneof", &create{Source: &v1.CreateVolumeRequest_Like{Like: v1.Mode_MODE_BURST}}, "[1.2]", "like: MODE_BURST"},
		{
			"message in a oneof", &create{Source: &v1.CreateVolumeRequest_Near{Near: &v1.Placement{Hint: "a"}}},
			"[1.1 1.0]", "",
		},
		{"Any without rules", &create{Driver: packed(t, &v1.Label{Name: "a"})}, "[1.0]", ""},
		{"Any, droppable", &create{Driver: packed(t, &v1.Disk{Serial: "a"})}, "[1.2 1.0]", ""},
		{"Any, failing", &create{Driver: packed(t, &v1.Placement{Rack: "a"})}, "[1.2]", "driver.(typedtest.v1.Placement).rack"},
		{"empty Any", &create{Driver: &anypb.Any{}}, "[1.0]", ""},
		{"Any of nobody", &create{Driver: &anypb.Any{TypeUrl: "x/no.Such", Value: []byte("a")}}, "[1.0]", ""},
		{"broken Any", &create{Driver: &anypb.Any{TypeUrl: "x/typedtest.v1.Disk", Value: []byte("a")}}, "[1.0]", ""},
		{
			"Any in Any", &create{Drivers: []*anypb.Any{{}, packed(t, packed(t, &v1.Group{Owner: "a"}))}},
			"[1.2]", "drivers[1].(google.protobuf.Any).(typedtest.v1.Group).owner",
		},
		{
			"recursive", &create{Group: &v1.Group{Children: []*v1.Group{{Note: "a", Children: []*v1.Group{{Owner: "b"}}}}}},
			"[1.2]", "group.children[0].children[0].owner",
		},
		{"droppable field", &create{Encryption: &v1.Encryption{}}, "[1.1 1.0]", ""},
		{"failing within droppable", &create{Encryption: &v1.Encryption{KeyId: "a"}}, "[1.2 1.0]", ""},
		{
			"failing within droppable, with a floor", &create{Encryption: &v1.Encryption{KeyId: "a"}, Priority: proto.Int32(1)},
			"[1.2 1.1]", "priority",
		},
	}
}

func TestNeed(t *testing.T) {
	for _, c := range needCases(t) {
		t.Run(c.name, func(t *testing.T) {
			m := method(t, "CreateVolume")
			if got := fmt.Sprint(m.Steps(c.in)); got != c.steps {
				t.Errorf("steps %s, want %s", got, c.steps)
			}
			checkSteps(t, m, c.in)
			below := m.Need(c.in).Floor
			below.Minor--
			if e, _ := m.Blame(c.in, below); c.blame != "" && e.Path != c.blame {
				t.Errorf("blames %q, want %q", e.Path, c.blame)
			}
		})
	}
}

// checkSteps checks what is true for every message.
func checkSteps(t *testing.T, m *Method, in proto.Message) {
	t.Helper()
	before := proto.Clone(in)
	n, steps := m.Need(in), m.Steps(in)
	if steps[0] != n.Version || steps[len(steps)-1] != n.Floor {
		t.Errorf("steps %v, but needs %v", steps, n)
	}
	for i, step := range steps {
		if i > 0 && !later(steps[i-1], step) {
			t.Errorf("steps %v do not descend", steps)
		}
		fitted := m.Fit(in, step)
		if got := m.Need(fitted); got != (Need{Version: step, Floor: n.Floor}) {
			t.Errorf("fitted for %v it needs %v, floor was %v: %v", step, got, n.Floor, fitted)
		}
		if i == 0 && fitted != in {
			t.Error("copied without need")
		}
	}
	if !proto.Equal(before, in) {
		t.Errorf("changed: %v, was %v", in, before)
	}
	for minor := range uint32(5) {
		checkVersion(t, m, in, rpc.Version{Major: m.Since.Major, Minor: minor}, n)
	}
}

func checkVersion(t *testing.T, m *Method, in proto.Message, v rpc.Version, n Need) {
	t.Helper()
	e, ok := m.Blame(in, v)
	if ok != later(n.Floor, v) || (ok && e.Since != n.Floor) {
		t.Errorf("at %v blames %v (%v), floor %v: %v", v, e, ok, n.Floor, in)
	}
	if fits := m.Need(m.Fit(in, v)).Version; !ok && later(fits, v) {
		t.Errorf("fitted for %v it needs %v: %v", v, fits, in)
	}
}

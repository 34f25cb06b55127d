package typed

import (
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
)

// usual returns a message of ordinary size: two fields with rules, and a nested message.
func usual() *v1.CreateVolumeRequest {
	return &v1.CreateVolumeRequest{
		Name: "a", Size: 1, Description: "b", Priority: proto.Int32(1), Placement: &v1.Placement{Zone: "c", Rack: "d"},
		Owner: &v1.Label{Name: "e"},
	}
}

// full returns a message with every kind of field.
func full(t testing.TB) *v1.CreateVolumeRequest {
	m := usual()
	m.Disks = []*v1.Disk{{Serial: "a"}, {Mode: v1.Mode_MODE_BURST}}
	m.Roles = map[string]*v1.Disk{"a": {Serial: "b"}}
	m.Labels = map[string]string{"a": "b"}
	m.FallbackModes = []v1.Mode{v1.Mode_MODE_BURST, v1.Mode_MODE_FAST}
	m.HourlyModes = map[int32]v1.Mode{1: v1.Mode_MODE_BURST}
	m.Driver = packed(t, &v1.Disk{Serial: "a"})
	m.Group = &v1.Group{Children: []*v1.Group{{Note: "a"}}}
	m.Encryption = &v1.Encryption{KeyId: "a"}
	return m
}

func TestAllocations(t *testing.T) {
	create, find, in := method(t, "CreateVolume"), method(t, "FindVolume"), usual()
	flat := method(t, "ReportUsage")
	plain, report := &v1.FindVolumeRequest{Name: "a"}, &v1.ReportUsageRequest{Name: "a", Bytes: 1, Inodes: 2, Limit: 3}
	for name, f := range map[string]func(){
		"FindMethod":       func() { _, _ = FindMethod(create.Path) },
		"Need":             func() { create.Need(in) },
		"Need, flat":       func() { flat.Need(report) },
		"Need, no rules":   func() { find.Need(plain) },
		"Fit, not changed": func() { create.Fit(in, create.Service.Version) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkFindMethod(b *testing.B) {
	path := method(b, "CreateVolume").Path
	b.ReportAllocs()
	for b.Loop() {
		_, _ = FindMethod(path)
	}
}

func BenchmarkNeed(b *testing.B) {
	for name, c := range map[string]struct {
		method string
		in     proto.Message
	}{
		"no rules": {"FindVolume", &v1.FindVolumeRequest{Name: "a"}},
		"flat":     {"ReportUsage", &v1.ReportUsageRequest{Name: "a", Bytes: 1, Inodes: 2, Limit: 3}},
		"usual":    {"CreateVolume", usual()},
		"full":     {"CreateVolume", full(b)},
	} {
		m := method(b, c.method)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Need(c.in)
			}
		})
	}
}

func BenchmarkFit(b *testing.B) {
	m, in := method(b, "CreateVolume"), full(b)
	in.Placement = nil
	floor := m.Need(in).Floor
	b.ReportAllocs()
	for b.Loop() {
		m.Fit(in, floor)
	}
}

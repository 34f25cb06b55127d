package typed

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestFindService(t *testing.T) {
	s, err := FindService("typedtest.v1.InventoryService")
	if err != nil {
		t.Fatal(err)
	}
	if s.Topic != "inventory" || s.Namespace != "volumes" || s.Version != (rpc.Version{Major: 1, Minor: 2}) {
		t.Errorf("%+v", s)
	}
	names := slices.Sorted(maps.Keys(s.Methods))
	if len(names) != len(v1.InventoryService_ServiceDesc.Methods)+len(v1.InventoryService_ServiceDesc.Streams) {
		t.Errorf("methods %q", names)
	}
	if again, _ := FindService(s.Name); again != s {
		t.Error("compiled again")
	}
}

func TestFindServiceWithoutOptions(t *testing.T) {
	s, err := FindService("typedtest.v1.PlainService")
	if err != nil {
		t.Fatal(err)
	}
	if s.Topic != "" || s.Namespace != s.Name || s.Version != rpc.DefaultVersion {
		t.Errorf("%+v", s)
	}
	if m := s.Methods["Echo"]; m.Since != rpc.DefaultVersion || m.Delivery != Call || m.plan != nil {
		t.Errorf("%+v", m)
	}
}

func TestMethods(t *testing.T) {
	one := func(minor uint32) rpc.Version { return rpc.Version{Major: 1, Minor: minor} }
	for name, want := range map[string]Method{
		"GetVolume":       {Since: one(0)},
		"FindVolume":      {Since: one(0), Deprecated: one(1)},
		"CreateVolume":    {Since: one(0)},
		"ResizeVolume":    {Since: one(1)},
		"SnapshotVolume":  {Since: one(2)},
		"ReportUsage":     {Since: one(0), Delivery: Cast},
		"InvalidateCache": {Since: one(0), Delivery: Fanout},
		"ImportVolumes":   {Since: one(1), ClientStreams: true},
		"WatchVolumes":    {Since: one(0), ServerStreams: true},
		"SyncVolumes":     {Since: one(0), ClientStreams: true, ServerStreams: true},
	} {
		m := method(t, name)
		if m.Name != name || m.Path != "/typedtest.v1.InventoryService/"+name || m.Service.Methods[name] != m {
			t.Errorf("%s: %+v", name, m)
		}
		if m.Since != want.Since || m.Deprecated != want.Deprecated || m.Delivery != want.Delivery ||
			m.ClientStreams != want.ClientStreams || m.ServerStreams != want.ServerStreams {
			t.Errorf("%s: %+v, want %+v", name, m, want)
		}
	}
}

func TestFindNothing(t *testing.T) {
	for path, want := range map[string]string{
		"":                                    `"" is not the path of a method, such as /package.Service/Method`,
		"a/b":                                 `"a/b" is not the path`,
		"/a":                                  `"/a" is not the path`,
		"/a/b":                                "service a is not linked into this program",
		"//":                                  "service  is not linked into this program",
		"/typedtest.v1.Mode/b":                "service typedtest.v1.Mode is not linked into this program",
		"/typedtest.v1.InventoryService/Get":  `service typedtest.v1.InventoryService has no method "Get"`,
		"/typedtest.v1.InventoryService/":     `has no method ""`,
		"/typedtest.v1.InventoryService/Ge/t": `has no method "Ge/t"`,
		"typedtest.v1.InventoryService/Echo":  "is not the path",
	} {
		if m, err := FindMethod(path); m != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

func TestFindAtOnce(t *testing.T) {
	services.Clear()
	methods.Store(nil)
	compiled.Clear()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, path := range []string{"/typedtest.v1.InventoryService/CreateVolume", "/typedtest.v1.PlainService/Echo"} {
				m, err := FindMethod(path)
				if err != nil {
					t.Error(err)
					return
				}
				m.Need(full(t))
				m.Fit(full(t), m.Since)
				if again, _ := FindMethod(path); again != m {
					t.Error("two of a method")
				}
			}
		})
	}
	all.Wait()
}

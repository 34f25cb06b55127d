//go:build unix

package nova

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/internal/programtest"
)

// Instances spread over the computes, can be changed there, and can be deleted.
func TestInstances(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		hosts := map[string]*programtest.Process{}
		for _, host := range []string{"c1", "c2", "c3"} {
			hosts[host] = f.compute(host)
		}
		names := programtest.Ask[[]string](f.Operator, api, "boot", map[string]any{"name": "vm", "count": 3})
		if want := []string{"vm-1", "vm-2", "vm-3"}; !slices.Equal(names, want) {
			t.Errorf("it boots %q, want %q", names, want)
		}
		var want []server
		for n, host := range slices.Sorted(maps.Keys(hosts)) {
			f.conductor.Await("ctl: has " + names[n] + " built on " + host)
			hosts[host].Await(host + ": builds " + names[n])
			f.runs(names[n], host)
			want = append(want, server{Name: names[n], State: rpcapi.Active, Host: host, Cell: rpcapi.OwnCell})
		}
		if got := f.list(); !slices.Equal(got.Servers, want) || got.Unknown != nil {
			t.Errorf("listed: %+v", got)
		}

		vm := f.show("vm-1")
		if vm.Flavor.Name != "m1.tiny" || vm.ImageRef != "cirros" || vm.Fault != "" || vm.Cell != rpcapi.OwnCell || f.show(vm.UUID) != vm {
			t.Errorf("shown: %+v", vm)
		}
		f.do("reboot", map[string]any{"server": "vm-1", "type": "hard"})
		hosts["c1"].Await("c1: reboots vm-1, hard")
		f.runs("vm-1", "c1")
		f.do("resize", map[string]any{"server": "vm-1", "flavor": "m1.large"})
		hosts["c1"].Await("c1: resizes vm-1 to m1.large")
		f.runs("vm-1", "c1")
		f.do("rebuild", map[string]any{"server": vm.UUID, "image": "debian"})
		hosts["c1"].Await("c1: rebuilds the disk of vm-1 from debian")
		f.runs("vm-1", "c1")
		f.do("rebuild", map[string]any{"server": "vm-1", "image": "fedora", "reimage_boot_volume": true})
		hosts["c1"].Await("c1: rebuilds the boot volume of vm-1 from fedora")
		programtest.Until(t, "vm-1 is large, and a fedora", func() bool {
			vm = f.show("vm-1")
			return vm.ImageRef == "fedora"
		})
		if vm.Flavor.VCPUs != 4 || vm.VMState != rpcapi.Active || vm.TaskState != "" {
			t.Errorf("shown: %+v", vm)
		}
		for tail, want := range map[int][]string{
			0: {
				"Booting cirros", "vm-1 login:", "Rebooting", "vm-1 login:",
				"Booting debian", "vm-1 login:", "Booting fedora", "vm-1 login:",
			},
			2: {"Booting fedora", "vm-1 login:"},
		} {
			args := map[string]any{"server": "vm-1", "tail": tail}
			if lines := programtest.Ask[[]string](f.Operator, api, "console", args); !slices.Equal(lines, want) {
				t.Errorf("the last %d lines: %q", tail, lines)
			}
		}

		f.do("delete", map[string]any{"server": "vm-2"})
		hosts["c2"].Await("c2: deletes vm-2")
		programtest.Until(t, "vm-2 is deleted", func() bool { return len(f.list().Servers) == 2 })
		want = slices.Delete(want, 1, 2)
		if got := f.list().Servers; !slices.Equal(got, want) {
			t.Errorf("listed: %+v", got)
		}
	})
}

// A disabled host gets no new instances and keeps its existing ones. An instance that no host
// accepts says why.
func TestDisabledHost(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1 := f.compute("c1")
		f.boot("a", "c1")
		if got := programtest.Ask[string](f.Operator, api, "disable_host", map[string]any{"host": "c1"}); got != "disabled" {
			t.Errorf("disabled, it is %s", got)
		}
		c1.Await("c1: is disabled")
		f.do("boot", map[string]any{"name": "b"})
		f.until("b", "has failed", func(s server) bool { return s == server{Name: "b", State: rpcapi.Failed, Cell: rpcapi.OwnCell} })
		if fault := f.show("b").Fault; !strings.HasSuffix(fault, "no valid host was found: no compute is up and enabled") {
			t.Errorf("its fault: %s", fault)
		}
		f.do("reboot", map[string]any{"server": "a"})
		c1.Await("c1: reboots a, soft")

		if got := programtest.Ask[string](f.Operator, api, "enable_host", map[string]any{"host": "c1"}); got != "enabled" {
			t.Errorf("enabled, it is %s", got)
		}
		c1.Await("c1: is enabled")
		f.do("boot", map[string]any{"name": "c"})
		f.runs("c", "c1")
		f.do("delete", map[string]any{"server": "b"}) // it is on no host
		if got := f.list().Servers; len(got) != 2 {
			t.Errorf("listed: %+v", got)
		}
	})
}

//go:build unix

package nova

import (
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/internal/programtest"
)

// A compute of an old release works beside current ones. Messages that it does not know are refused
// until it is upgraded.
func TestOldCompute(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1, old := f.compute("c1", "--migration-time", "0s"), f.start("nova-compute", "old", "--release", "queens", "--migration-time", "0s")
		old.Await("old: nova-compute of queens is ready, with 0 instances")
		f.boot("vm", "old")
		f.do("resize", map[string]any{"server": "vm", "flavor": "m1.large"})
		old.Await("old: resizes vm to m1.large")
		f.runs("vm", "old")
		f.do("rebuild", map[string]any{"server": "vm", "image": "debian"})
		old.Await("old: rebuilds the disk of vm from debian")
		f.runs("vm", "old")
		want := []string{"build_and_run_instance 5.0", "rebuild_instance 5.0", "resize_instance 5.0"}
		if asked := f.asked(rpcapi.ComputeTopic, "old"); !slices.Equal(asked, want) {
			t.Errorf("the compute was asked for %q", asked)
		}
		reimage := map[string]any{"server": "vm", "image": "fedora", "reimage_boot_volume": true}
		if err := f.Refused(api, "rebuild", reimage); !strings.Contains(err.Error(), "6.1") {
			t.Errorf("its boot volume: %v", err)
		}
		if vm := f.show("vm"); vm.ImageRef != "debian" || vm.Flavor.Name != "m1.large" {
			t.Errorf("shown: %+v", vm)
		}

		f.migrate("vm", "c1")
		f.runs("vm", "c1")
		f.do("rebuild", reimage)
		c1.Await("c1: rebuilds the boot volume of vm from fedora")
		f.runs("vm", "c1")
		f.migrate("vm", "old")
		f.runs("vm", "old")
		f.Refused(api, "rebuild", reimage)

		old.Stop()
		upgraded := f.start("nova-compute", "old")
		upgraded.Await("old: nova-compute of gazpacho is ready, with 1 instances")
		f.do("rebuild", reimage)
		upgraded.Await("old: rebuilds the boot volume of vm from fedora")
	})
}

// With an upgrade level, computes get no later messages, and serve the messages that they get.
func TestUpgradeLevel(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		for _, level := range []string{"5.0", "queens"} {
			t.Run(level, func(t *testing.T) {
				f := startFleet(t, url, "--upgrade-level", "compute="+level)
				c1, c2 := f.compute("c1", "--migration-time", "0s"), f.compute("c2", "--migration-time", "0s")
				f.boot("vm", "c1")
				f.do("resize", map[string]any{"server": "vm", "flavor": "m1.small"})
				c1.Await("c1: resizes vm to m1.small")
				f.runs("vm", "c1")
				f.do("rebuild", map[string]any{"server": "vm", "image": "debian"})
				c1.Await("c1: rebuilds the disk of vm from debian")
				f.runs("vm", "c1")
				programtest.Ask[[]string](f.Operator, api, "console", map[string]any{"server": "vm"})
				f.Refused(api, "rebuild", map[string]any{"server": "vm", "image": "debian", "reimage_boot_volume": true})
				f.migrate("vm", "c2")
				f.runs("vm", "c2")
				if vm := f.show("vm"); vm.Flavor.Name != "m1.small" || vm.ImageRef != "debian" {
					t.Errorf("shown: %+v", vm)
				}
				f.do("delete", map[string]any{"server": "vm"})
				c2.Await("c2: deletes vm")
				for host, want := range map[string][]string{
					"c1": {
						"build_and_run_instance 5.0", "get_console_output 5.0", "live_migration 5.0", "rebuild_instance 5.0",
						"resize_instance 5.0",
					},
					"c2": {
						"check_can_live_migrate_destination 5.0", "post_live_migration_at_destination 5.0", "pre_live_migration 5.0",
						"terminate_instance 5.0",
					},
				} {
					if asked := f.asked(rpcapi.ComputeTopic, host); !slices.Equal(asked, want) {
						t.Errorf("%s was asked for %q", host, asked)
					}
				}
			})
		}
	})
}

// A compute of an old release that is told to stop does not wait for an instance that cannot arrive
// any more. The instance arrives at the next process.
func TestOldDestinationStopsDuringMigration(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		f.compute("c1", "--migration-time", "3s")
		old := f.compute("old", "--release", "zed")
		f.boot("vm", "c1")
		f.migrate("vm", "old")
		old.Await("old: prepares for vm")
		old.Stop()
		f.start("nova-compute", "old").Await("old: runs vm now")
		f.runs("vm", "old")
	})
}

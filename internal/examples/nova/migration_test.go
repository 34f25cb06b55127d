//go:build unix

package nova

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// slowly makes a migration so slow that something can happen meanwhile.
var slowly = []string{"--migration-time", "2s"}

// migrate moves an instance to a host and returns the selected host. An empty host means any host.
func (f *fleet) migrate(name, host string) rpcapi.Selection {
	f.t.Helper()
	args := map[string]any{"server": name}
	if host != "" {
		args["host"] = host
	}
	return programtest.Ask[rpcapi.Selection](f.Operator, api, "live_migrate", args)
}

// asked returns the messages that a compute got on a topic, each as method and version.
func (f *fleet) asked(topic, host string) []string {
	f.t.Helper()
	instances, err := f.Instances(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	i := slices.IndexFunc(instances, func(i oslorpc.Instance) bool { return i.Topic == topic && i.Server == host })
	if i < 0 {
		f.t.Fatalf("%s does not serve %s", host, topic)
	}
	info, err := f.Info(f.t.Context(), instances[i], oslorpc.WithRequests())
	if err != nil {
		f.t.Fatal(err)
	}
	var asked []string
	for _, s := range info.Servers {
		if s.Topic == topic {
			for _, r := range s.Requests {
				asked = append(asked, r.Method+" "+r.Version.String())
			}
		}
	}
	slices.Sort(asked)
	return asked
}

// An instance moves while it runs, and is managed on its new host. Messages that continue a
// migration use a separate topic.
func TestLiveMigration(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1, c2 := f.compute("c1", "--migration-time", "0s"), f.compute("c2", "--migration-time", "1s")
		f.boot("vm", "c1")
		if to := f.migrate("vm", ""); to != (rpcapi.Selection{Cell: rpcapi.OwnCell, ServiceHost: "c2"}) {
			t.Errorf("it moves to %+v", to)
		}
		f.conductor.Await("ctl: has vm moved from c1 to c2")
		c1.Await("c1: moves vm to c2")
		c2.Await("c2: prepares for vm")
		c2.Await("c2: runs vm now")
		f.runs("vm", "c2")
		for topic, want := range map[string][]string{
			rpcapi.ComputeTopic:    {"check_can_live_migrate_destination 6.0"},
			rpcapi.ComputeAltTopic: {"post_live_migration_at_destination 6.5", "pre_live_migration 6.5"},
		} {
			if asked := f.asked(topic, "c2"); !slices.Equal(asked, want) {
				t.Errorf("on %s, c2 was asked for %q", topic, asked)
			}
		}
		f.do("reboot", map[string]any{"server": "vm"})
		c2.Await("c2: reboots vm, soft")
		f.runs("vm", "c2")
		f.migrate("vm", "c1")
		c1.Await("c1: prepares for vm")
		f.do("delete", map[string]any{"server": "vm"}) // during the migration: the new host deletes it afterwards
		c1.Await("c1: runs vm now", "c1: deletes vm")
		programtest.Until(t, "vm is deleted", func() bool { return len(f.list().Servers) == 0 })
	})
}

// A host that is told to stop during a migration finishes the migration first.
func TestHostsStopDuringMigration(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1, c2 := f.compute("c1", slowly...), f.compute("c2", slowly...)
		f.boot("vm", "c1")
		f.migrate("vm", "c2")
		c1.Await("c1: moves vm to c2")
		c1.Signal(syscall.SIGTERM)
		ended(t, c1)
		c2.Await("c2: runs vm now")
		f.runs("vm", "c2")
		c1 = f.start("nova-compute", "c1", slowly...)
		c1.Await("is ready, with 0 instances")

		f.migrate("vm", "c1")
		c1.Await("c1: prepares for vm")
		c1.Signal(syscall.SIGTERM)
		ended(t, c1)
		c1.Await("c1: runs vm now")
		f.runs("vm", "c1")
		f.start("nova-compute", "c1").Await("is ready, with 1 instances")
		want := []string{"Booting cirros", "vm login:"}
		if lines := programtest.Ask[[]string](f.Operator, api, "console", map[string]any{"server": "vm"}); !slices.Equal(lines, want) {
			t.Errorf("on its console: %q", lines)
		}
	})
}

// If the source of a migration is killed, the instance stays there, and runs again when the source
// is back.
func TestSourceIsKilled(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1, c2 := f.compute("c1", "--migration-time", "1m"), f.compute("c2")
		f.boot("vm", "c1")
		f.migrate("vm", "c2")
		c1.Await("c1: moves vm to c2")
		c2.Await("c2: prepares for vm")
		for method, want := range map[string]string{"reboot": "BadRequest", "live_migrate": "MigrationError"} {
			if err := f.Refused(api, method, map[string]any{"server": "vm"}); typeOf(err) != want || !strings.Contains(err.Error(), rpcapi.Migrating) {
				t.Errorf("%s while it moves: %v", method, err)
			}
		}
		c1.Kill()
		if s := f.list().Servers[0]; s.Host != "c1" || s.Task != "migrating" {
			t.Errorf("while its host is down: %+v", s)
		}
		f.start("nova-compute", "c1").Await("is ready, with 1 instances")
		f.runs("vm", "c1")
		f.migrate("vm", "c2")
		c2.Await("c2: runs vm now")
		f.runs("vm", "c2")
	})
}

// If the destination of a migration is killed, the instance continues to run on its host.
func TestDestinationIsKilled(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url, "--rpc-response-timeout", "2s", "--long-rpc-timeout", "2s")
		c1, c2 := f.compute("c1", "--migration-time", "3s"), f.compute("c2")
		f.boot("vm", "c1")
		f.migrate("vm", "c2")
		c2.Await("c2: prepares for vm")
		c2.Kill()
		c1.Await("c1: keeps vm: ")
		f.runs("vm", "c1")
		if fault := f.show("vm").Fault; !strings.HasPrefix(fault, "it did not move: ") {
			t.Errorf("its fault: %q", fault)
		}
		f.do("reboot", map[string]any{"server": "vm"})
		c1.Await("c1: reboots vm, soft")
	})
}

//go:build unix

package nova

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A killed compute has its instances again after a restart. Meanwhile, new instances are built
// elsewhere.
func TestComputeIsKilled(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url, "--rpc-response-timeout", "3s") // the conductor tries c1 for this long, if it has not noticed the kill yet
		c1 := f.compute("c1")
		f.boot("a", "c1")
		f.boot("b", "c1")
		c2 := f.compute("c2")
		f.boot("c", "c2")
		f.boot("d", "c2")
		f.boot("e", "c2") // so that the scheduler would choose c1
		c1.Kill()
		f.do("boot", map[string]any{"name": "f"})
		c2.Await("c2: builds f")
		f.runs("f", "c2")
		f.runs("a", "c1") // the compute's last known state
		c1 = f.start("nova-compute", "c1")
		c1.Await("c1: nova-compute of gazpacho is ready, with 2 instances")
		f.do("reboot", map[string]any{"server": "a"})
		c1.Await("c1: reboots a")
	})
}

// A restarted conductor knows the contents of its database.
func TestConductorIsRestarted(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		f.conductor.Stop()
		db := database(t)
		conductor := f.start("nova-conductor", "ctl", db...)
		conductor.Await(" is ready")
		c1 := f.compute("c1")
		f.boot("a", "c1")
		f.boot("b", "c1")
		before := f.list()
		next := f.start("nova-conductor", "ctl", db...)
		next.Await("ctl: waits for another conductor, which has ")
		conductor.Kill()
		conductor = next
		conductor.Await(" is ready")
		if after := f.list(); !slices.Equal(after.Servers, before.Servers) || len(after.Servers) != 2 {
			t.Errorf("listed: %+v", after)
		}
		f.do("delete", map[string]any{"server": "a"})
		c1.Await("c1: deletes a")
		f.boot("c", "c1")
		conductor.Stop()
		f.start("nova-conductor", "ctl", db...)
		c1.Stop()
		f.start("nova-compute", "c1").Await("is ready, with 2 instances")
	})
}

// A compute that starts before the conductor says that it waits. Messages for the compute wait too.
func TestComputeWaitsForConductor(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		db := database(t)
		f.conductor.Stop()
		f.conductor = f.start("nova-conductor", "ctl", db...)
		c1 := f.compute("c1")
		f.boot("vm", "c1")
		uuid := f.show("vm").UUID
		f.conductor.Kill()
		c1.Kill()

		c1 = f.start("nova-compute", "c1")
		c1.Await("c1: waits for nova-conductor")
		instances, err := f.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held := slices.ContainsFunc(instances, func(i oslorpc.Instance) bool {
			return i.Topic == rpcapi.ComputeTopic && i.Server == "c1" && i.State == oslorpc.StateHeld
		})
		if !held {
			t.Errorf("the compute does not wait for the conductor: %+v", instances)
		}
		to := oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: "c1", Version: "6.0"}
		err = f.Client(to).Cast(t.Context(), "reboot_instance",
			rpcapi.RebootArgs{Instance: rpcapi.Instance{UUID: uuid}, RebootType: "soft"})
		if err != nil {
			t.Errorf("while the compute waits, it does not accept a message: %v", err)
		}
		if line, early := c1.Take("reboots"); early {
			t.Errorf("before the compute knows its instances, it prints %q", line)
		}
		f.start("nova-conductor", "ctl", db...)
		c1.Await("c1: nova-compute of gazpacho is ready, with 1 instances", "c1: reboots vm, soft")
		f.runs("vm", "c1")
	})
}

// If the host of an instance is down when the instance should move, the instance is still there
// when the host is up again.
func TestMigrationFromHostThatIsDown(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1 := f.compute("c1")
		f.compute("c2")
		f.boot("vm", "c1")
		c1.Kill()
		sent := make(chan error, 1)
		go func() {
			_, err := oslorpc.Call[any](t.Context(), f.Client(api), "live_migrate", map[string]any{"server": "vm"})
			sent <- err
		}()
		f.until("vm", "is told to move", func(s server) bool { return s.Task == rpcapi.Migrating })
		c1 = f.start("nova-compute", "c1")
		c1.Await("is ready, with 1 instances")
		if err := <-sent; err != nil {
			t.Error(err)
		}
		programtest.Until(t, "the message is refused", func() bool { return strings.Contains(c1.Log(), `vm is in the task \"\"`) })
		f.runs("vm", "c1")
		f.do("console", map[string]any{"server": "vm"})
	})
}

// A conductor that is told to stop finishes its tasks although it is the only conductor. No
// instance is lost.
func TestConductorStopsDuringBuild(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		f.conductor.Stop()
		db := database(t)
		conductor := f.start("nova-conductor", "ctl", db...)
		conductor.Await(" is ready")
		f.compute("c1")
		f.scheduler.Signal(syscall.SIGSTOP)
		f.do("boot", map[string]any{"name": "vm", "count": 10})
		conductor.Signal(syscall.SIGTERM)
		time.Sleep(2 * time.Second) // no client reaches it any more
		f.scheduler.Signal(syscall.SIGCONT)
		ended(t, conductor)
		f.start("nova-conductor", "ctl", db...).Await(" is ready")
		if n := len(f.list().Servers); n != 10 {
			t.Errorf("there are %d instances", n)
		}
		f.runs("vm-10", "c1")
	})
}

// A task whose message was lost ends. The sender ends the task if the loss is certain. Otherwise
// the compute ends the task when it sees no progress.
func TestComputeHangs(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url, "--rpc-response-timeout", "1s")
		c1 := f.compute("c1", "--sync-interval", "500ms")
		f.boot("vm", "c1")
		c1.Signal(syscall.SIGSTOP)
		f.Refused(api, "reboot", map[string]any{"server": "vm"})
		c1.Signal(syscall.SIGCONT)
		f.runs("vm", "c1")
		f.do("resize", map[string]any{"server": "vm", "flavor": "m1.large"})
		c1.Await("c1: resizes vm")
		f.runs("vm", "c1")
	})
}

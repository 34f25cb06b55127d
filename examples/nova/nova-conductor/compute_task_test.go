package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// cell is a cell for tests: a conductor with its database, and a scheduler that returns the same
// hosts for each instance.
type cell struct {
	*oslorpctest.Fleet

	db    *database
	cells *rpcapi.Cells
	tasks *rpcapi.ComputeTaskAPI
}

// newCell returns a cell in which messages wait a second for their servers. If no hosts are given,
// the scheduler finds no valid host.
func newCell(t *testing.T, hosts ...string) cell {
	t.Helper()
	f := oslorpctest.New(t, rpcapi.ErrorTypes()...)
	db := open(t, "")
	config := rpcapi.Config{ResponseTimeout: time.Second}
	own := f.Transport()
	cells := rpcapi.NewCells(map[string]*oslorpc.Transport{rpcapi.OwnCell: own}, config)
	f.Serve(oslorpc.Target{Topic: rpcapi.ConductorTopic, Server: "ctl"}, []oslorpc.Endpoint{
		rpcapi.ConductorManager(conductor{db}),
		rpcapi.ComputeTaskManager(&computeTask{
			cells: cells, scheduler: rpcapi.NewSchedulerAPI(own, config), sayf: func(string, ...any) {},
		}),
	})
	var choice []rpcapi.Selection
	for _, host := range hosts {
		choice = append(choice, rpcapi.Selection{Cell: rpcapi.OwnCell, ServiceHost: host})
	}
	f.Serve(oslorpc.Target{Topic: rpcapi.SchedulerTopic, Server: "ctl"}, []oslorpc.Endpoint{rpcapi.SchedulerManager(scheduler{hosts: choice})})
	return cell{f, db, cells, rpcapi.NewComputeTaskAPI(f.Transport(), rpcapi.Config{})}
}

type scheduler struct {
	rpcapi.Scheduler // which is not asked for anything else

	hosts []rpcapi.Selection
}

func (s scheduler) SelectDestinations(_ context.Context, args rpcapi.SelectDestinationsArgs) ([][]rpcapi.Selection, error) {
	if len(s.hosts) == 0 {
		return nil, &rpcapi.NoValidHost{Reason: "there is none"}
	}
	return slices.Repeat([][]rpcapi.Selection{s.hosts}, len(args.InstanceUUIDs)), nil
}

// compute is a compute whose methods do nothing.
type compute struct {
	rpcapi.Compute

	check func() // is called when it is asked whether an instance can move there, if it is not nil
}

func (compute) BuildAndRunInstance(context.Context, rpcapi.BuildArgs) error { return nil }
func (compute) GetHostUptime(context.Context) (string, error)               { return "", nil }
func (c compute) CheckCanLiveMigrateDestination(context.Context, rpcapi.MigrationArgs) error {
	if c.check != nil {
		c.check()
	}
	return nil
}
func (compute) LiveMigration(ctx context.Context, args rpcapi.LiveMigrationArgs) error { return nil }

func (c cell) compute(host string, endpoints ...oslorpc.Endpoint) *oslorpctest.Server {
	return c.Serve(oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: host}, append(endpoints, rpcapi.ComputeManager(compute{})))
}

// build asks for an instance, and returns the instance when the conductor has done its part.
func (c cell) build(t *testing.T) rpcapi.Instance {
	t.Helper()
	i := rpcapi.Instance{UUID: "1", DisplayName: "vm", VMState: rpcapi.Building}
	do(t, c.tasks.BuildInstances(t.Context(), []rpcapi.Instance{i}, rpcapi.RequestSpec{}))
	synctest.Wait()
	time.Sleep(10 * time.Second) // which is faked
	synctest.Wait()
	i, err := c.db.get(i.UUID)
	do(t, err)
	return i
}

// builds returns the hosts that were asked to build.
func (c cell) builds() (hosts []string) {
	for _, m := range c.Messages(oslorpctest.For("build_and_run_instance")) {
		hosts = append(hosts, m.Server)
	}
	return hosts
}

// The first host that accepts an instance builds it.
func TestFirstHostThatTakesItBuildsIt(t *testing.T) {
	for name, c := range map[string]struct {
		start func(cell)
		want  string
	}{
		"the first":              {func(c cell) { c.compute("c1") }, "c1"},
		"the first is not there": {func(cell) {}, "c2"},
		"the first has stopped":  {func(c cell) { c.compute("c1").Stop() }, "c2"},
		"the first cannot do it": {func(c cell) { c.serveOld("c1") }, "c2"},
		"the first is cut off":   {func(c cell) { c.compute("c1").Partition() }, "c2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cell := newCell(t, "c1", "c2", "c3")
				c.start(cell)
				cell.compute("c2")
				cell.compute("c3")
				if i := cell.build(t); i.Host != c.want || i.VMState != rpcapi.Building {
					t.Errorf("the instance is %+v", i)
				}
				if hosts := cell.builds(); !slices.Equal(hosts, []string{c.want}) {
					t.Errorf("it is built on %q", hosts)
				}
			})
		})
	}
}

// serveOld starts a compute of a major version that no conductor uses any more.
func (c cell) serveOld(host string) {
	c.Serve(oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: host}, []oslorpc.Endpoint{
		{Version: "4.9", Struct: oslorpc.Methods(struct{ rpcapi.Compute }{compute{}})},
	})
}

// If the outcome of a build is unknown, no other host builds the instance. The first host may have
// built it.
func TestNoOtherHostBuildsWhatTheFirstMayBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, "c1", "c2")
		c1 := c.compute("c1")
		c.compute("c2")
		_, err := c.cells.Own().Compute.GetHostUptime(t.Context(), "c1") // connects
		do(t, err)
		c1.Partition()
		i := c.build(t)
		if i.Host != "c1" || i.VMState != rpcapi.Failed || i.Fault == "" {
			t.Errorf("the instance is %+v", i)
		}
		if hosts := c.builds(); len(hosts) > 0 {
			t.Errorf("it is built on %q", hosts)
		}
	})
}

// If no host builds an instance, the instance's fault says why.
func TestInstanceThatNoComputeBuilds(t *testing.T) {
	for name, c := range map[string]struct {
		hosts      []string
		host, says string
	}{
		"no host is valid": {nil, "", "there is none"},
		"no host takes it": {[]string{"c1", "c2"}, "", `no server named "c2"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newCell(t, c.hosts...).build(t)
				if i.Host != c.host || i.VMState != rpcapi.Failed || i.TaskState != "" || !strings.Contains(i.Fault, c.says) {
					t.Errorf("the instance is %+v", i)
				}
			})
		})
	}
}

// If an instance cannot move, it does not change.
func TestInstanceThatCannotMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, "c2")
		moving, failed, gone := a, a, a
		moving.TaskState, failed.VMState, gone.Host = "migrating", rpcapi.Failed, "c9"
		c.compute("c1")
		for name, i := range map[string]rpcapi.Instance{"moving": moving, "failed": failed} {
			do(t, c.db.create(i))
			_, err := c.tasks.MigrateServer(t.Context(), i, rpcapi.OwnCell, "")
			if _, ok := errors.AsType[*rpcapi.MigrationError](err); !ok {
				t.Errorf("%s: %v", name, err)
			}
		}
		do(t, c.db.create(gone))
		stays := func() {
			t.Helper()
			if _, err := c.tasks.MigrateServer(t.Context(), gone, rpcapi.OwnCell, ""); err == nil {
				t.Error("it moves from a host that is not there")
			}
			if now, err := c.db.get(gone.UUID); now != gone || err != nil {
				t.Errorf("now it is %+v, %v", now, err)
			}
		}
		stays() // its destination is not there either
		c.compute("c2")
		stays()
		if checks := c.Messages(oslorpctest.For("check_can_live_migrate_destination")); len(checks) != 1 {
			t.Errorf("the destination was asked: %+v", checks)
		}
	})
}

// An instance does not move from a host that is cut off. Afterwards it is in no task, even if the
// caller no longer waits.
func TestWhoAskedWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, "c2")
		c1 := c.compute("c1")
		c.compute("c2")
		do(t, c.db.create(a))
		c1.Partition()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := c.tasks.MigrateServer(ctx, a, rpcapi.OwnCell, ""); err == nil {
			t.Error("it moves from a host that is not there")
		}
		time.Sleep(10 * time.Second)
		if now, err := c.db.get(a.UUID); now != a || err != nil {
			t.Errorf("now it is %+v, %v", now, err)
		}
	})
}

// If an instance has moved meanwhile, a task that was about to move it leaves it where it is.
func TestInstanceThatMovesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, "c3")
		c.compute("c1")
		c.compute("c2")
		moved := a
		moved.Host = "c2"
		do(t, c.db.create(a))
		c.Serve(oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: "c3"},
			[]oslorpc.Endpoint{rpcapi.ComputeManager(compute{check: func() { do(t, saved(c.db, moved)) }})})
		_, err := c.tasks.MigrateServer(t.Context(), a, rpcapi.OwnCell, "")
		if failure, ok := errors.AsType[*rpcapi.MigrationError](err); !ok || !strings.Contains(failure.Reason, "has moved to c2") {
			t.Errorf("it ends with %v", err)
		}
		if now, err := c.db.get(a.UUID); now != moved || err != nil {
			t.Errorf("now it is %+v, %v", now, err)
		}
		if begun := c.Messages(oslorpctest.For("live_migration")); len(begun) > 0 {
			t.Errorf("it begins: %+v", begun)
		}
	})
}

// An instance whose host has built it after all is not failed.
func TestInstanceThatIsBuiltAfterAll(t *testing.T) {
	c := newCell(t)
	do(t, c.db.create(a))
	building := a
	building.VMState, building.TaskState = rpcapi.Building, rpcapi.Scheduling
	do(t, (&computeTask{}).fail(t.Context(), c.cells.Own(), building, errors.New("it is not known")))
	if now, err := c.db.get(a.UUID); now != a || err != nil {
		t.Errorf("now it is %+v, %v", now, err)
	}
}

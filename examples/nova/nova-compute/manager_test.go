package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/examples/nova/service"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// conductor is a conductor for tests.
type conductor struct {
	mu        sync.Mutex
	instances map[string]rpcapi.Instance
	deaf      atomic.Bool // the next change is made, and fails all the same
	listed    func()      // is called after the instances of a host were listed, if it is not nil
	saved     func()      // is called after a change, if it is not nil
}

func (c *conductor) ObjectAction(_ context.Context, args rpcapi.ObjectActionArgs) (rpcapi.Instance, error) {
	return args.ObjInst, c.change(args)
}

func (c *conductor) change(args rpcapi.ObjectActionArgs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, ok := c.instances[args.ObjInst.UUID]
	if !ok || args.ObjMethod != "save" {
		return &rpcapi.InstanceNotFound{InstanceID: args.ObjInst.UUID}
	}
	if task, given := args.Kwargs[rpcapi.ExpectedTaskState]; given && task != before.TaskState {
		return &rpcapi.UnexpectedTaskState{InstanceID: before.UUID, Expected: task, Actual: before.TaskState}
	}
	if c.deaf.Swap(false) {
		defer func() { c.instances[args.ObjInst.UUID] = args.ObjInst }()
		return errors.New("the answer is lost")
	}
	c.instances[args.ObjInst.UUID] = args.ObjInst
	if c.saved != nil {
		c.saved()
	}
	return nil
}

func (c *conductor) ObjectClassActionVersions(_ context.Context, args rpcapi.ObjectClassActionArgs) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch args.ObjMethod {
	case "get_by_uuid":
		if i, ok := c.instances[args.Args[0]]; ok {
			return i, nil
		}
		return nil, &rpcapi.InstanceNotFound{InstanceID: args.Args[0]}
	case "get_by_host":
		var found []rpcapi.Instance
		for _, i := range c.instances {
			if i.Host == args.Args[0] {
				found = append(found, i)
			}
		}
		if c.listed != nil {
			c.listed()
		}
		return found, nil
	}
	return nil, fmt.Errorf("it is asked for %s", args.ObjMethod)
}

func (c *conductor) get(uuid string) rpcapi.Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.instances[uuid]
}

// newTestManager returns the manager of host c1, in a cell with instances.
func newTestManager(t *testing.T, all ...rpcapi.Instance) (*manager, *conductor) {
	t.Helper()
	c := &conductor{instances: map[string]rpcapi.Instance{}}
	for _, i := range all {
		c.instances[i.UUID] = i
	}
	f := oslorpctest.New(t, rpcapi.ErrorTypes()...)
	f.Serve(oslorpc.Target{Topic: rpcapi.ConductorTopic, Server: "ctl"}, []oslorpc.Endpoint{rpcapi.ConductorManager(c)})
	config := rpcapi.Config{ResponseTimeout: 10 * time.Second}
	cells := rpcapi.NewCells(map[string]*oslorpc.Transport{rpcapi.OwnCell: f.Transport()}, config)
	s := &service.Service{Host: "c1", Config: config, Cells: cells, Out: log.New(io.Discard, "", 0)}
	return newManager(s, options{release: current}, nil), c
}

// A starting host runs the instances that it ran before, including those that were about to move
// away. It does not run instances that it was about to build.
func TestInitHost(t *testing.T) {
	m, c := newTestManager(t,
		rpcapi.Instance{UUID: "active", Host: "c1", VMState: rpcapi.Active},
		rpcapi.Instance{UUID: "come", Host: "c1", VMState: rpcapi.Active},
		rpcapi.Instance{UUID: "leaving", Host: "c1", VMState: rpcapi.Active, TaskState: "migrating"},
		rpcapi.Instance{UUID: "building", Host: "c1", VMState: rpcapi.Building, TaskState: "scheduling"},
		rpcapi.Instance{UUID: "failed", Host: "c1", VMState: rpcapi.Failed, TaskState: "rebooting", Fault: "of before"},
		rpcapi.Instance{UUID: "elsewhere", Host: "c2", VMState: rpcapi.Active, TaskState: "migrating"})
	m.guests.run("come", "come login:") // to a host that is not ready yet
	if err := m.initHost(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines, _ := m.guests.console("come"); len(lines) != 1 {
		t.Errorf("what has come is started again: %q", lines)
	}
	if runs := strings.Join(m.guests.uuids(), " "); runs != "active come leaving" {
		t.Errorf("it runs %s", runs)
	}
	for uuid, want := range map[string]rpcapi.Instance{
		"active":    {Host: "c1", VMState: rpcapi.Active},
		"leaving":   {Host: "c1", VMState: rpcapi.Active},
		"building":  {Host: "c1", VMState: rpcapi.Failed, Fault: "the host went down while it was built"},
		"failed":    {Host: "c1", VMState: rpcapi.Failed, Fault: "of before"},
		"elsewhere": {Host: "c2", VMState: rpcapi.Active, TaskState: "migrating"},
	} {
		want.UUID = uuid
		if got := c.get(uuid); got != want {
			t.Errorf("%s is %+v", uuid, got)
		}
	}
}

// A starting host runs an instance that it still has when another process ends the instance's task
// at the same time. It does not run an instance that has just left.
func TestInitHostBesideOthers(t *testing.T) {
	leaving := rpcapi.Instance{UUID: "1", Host: "c1", VMState: rpcapi.Active, TaskState: rpcapi.Migrating}
	stayed, left := leaving, leaving
	stayed.TaskState = ""
	left.Host, left.TaskState = "c2", ""
	for name, c := range map[string]struct {
		now  map[string]rpcapi.Instance
		runs bool
	}{
		"who moves it gives up": {map[string]rpcapi.Instance{"1": stayed}, true},
		"it has moved":          {map[string]rpcapi.Instance{"1": left}, false},
		"it is deleted":         {map[string]rpcapi.Instance{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, all := newTestManager(t, leaving)
			all.listed = func() { all.instances = c.now }
			if err := m.initHost(t.Context()); err != nil {
				t.Fatal(err)
			}
			if m.guests.runs("1") != c.runs || !maps.Equal(all.instances, c.now) {
				t.Errorf("it runs: %t, and the instances are %+v", m.guests.runs("1"), all.instances)
			}
		})
	}
}

// inFakeTime returns a test that runs in faked time.
func inFakeTime(test func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

// If the destination does not report that it runs an instance, the instance's record decides.
// Without a record of the move, the instance stays.
func TestMigrationWhoseOutcomeIsUnknown(t *testing.T) {
	why := &oslorpc.Error{Kind: oslorpc.OutcomeUnknown}
	moving := rpcapi.Instance{UUID: "1", Host: "c1", VMState: rpcapi.Active, TaskState: rpcapi.Migrating}
	moved, stayed := moving, moving
	moved.Host, moved.TaskState = "c2", ""
	stayed.TaskState, stayed.Fault = "", "it did not move: "+why.Error()
	for _, c := range []struct{ written, want rpcapi.Instance }{{moved, moved}, {moving, stayed}, {rpcapi.Instance{}, rpcapi.Instance{}}} {
		t.Run("written down on host "+c.written.Host, inFakeTime(func(t *testing.T) {
			m, all := newTestManager(t)
			if c.written.UUID != "" {
				all.instances["1"] = c.written
			}
			m.guests.run(moving.UUID)
			stays := c.want == stayed
			if err := m.stay(t.Context(), moving, "c2", why); errors.Is(err, why) != stays {
				t.Errorf("it ends with %v", err)
			}
			if got := all.get("1"); got != c.want {
				t.Errorf("the instance is %+v", got)
			}
			if m.guests.runs("1") != stays {
				t.Errorf("that it runs on c1 is %t", !stays)
			}
		}))
	}
}

// The destination runs an instance if and only if the conductor says that the instance is there.
func TestArrival(t *testing.T) {
	moving := rpcapi.Instance{UUID: "1", Host: "c2", VMState: rpcapi.Active, TaskState: rpcapi.Migrating}
	stayed := moving
	stayed.TaskState = ""
	for name, c := range map[string]struct {
		written    rpcapi.Instance
		deaf, runs bool
	}{
		"in time":                    {written: moving, runs: true},
		"in time, and unheard":       {written: moving, deaf: true, runs: true},
		"the source was told to end": {written: stayed},
		"deleted meanwhile":          {},
	} {
		t.Run(name, inFakeTime(func(t *testing.T) {
			m, all := newTestManager(t)
			if c.written.UUID != "" {
				all.instances["1"] = c.written
			}
			all.deaf.Store(c.deaf)
			m.incoming.set("1", true)
			err := m.PostLiveMigrationAtDestination(t.Context(), rpcapi.MigrationArgs{Instance: moving})
			if (err == nil) != c.runs || m.guests.runs("1") != c.runs || len(m.incoming.list()) > 0 {
				t.Errorf("it runs: %t, %v", m.guests.runs("1"), err)
			}
			if now := all.get("1"); c.runs != (now.Host == "c1") || now.TaskState != "" {
				t.Errorf("the instance is %+v", now)
			}
		}))
	}
}

// An instance that has arrived runs, although its old host is lost a moment later.
func TestSourceIsLostWhenItHasCome(t *testing.T) {
	moving := rpcapi.Instance{UUID: "1", Host: "c2", VMState: rpcapi.Active, TaskState: rpcapi.Migrating}
	m, all := newTestManager(t, moving)
	ctx, lost := context.WithCancel(t.Context())
	all.saved = lost
	err := m.PostLiveMigrationAtDestination(ctx, rpcapi.MigrationArgs{Instance: moving})
	if err != nil || !m.guests.runs("1") || all.get("1").Host != "c1" {
		t.Errorf("it runs: %t, %v, and it is %+v", m.guests.runs("1"), err, all.get("1"))
	}
}

// A stopping host does not wait for an instance whose host was down meanwhile, or for an instance
// that was deleted since.
func TestArrivalThatDoesNotCome(t *testing.T) {
	m, _ := newTestManager(t, rpcapi.Instance{UUID: "1", Host: "c2", VMState: rpcapi.Active})
	m.incoming.set("1", true)
	m.incoming.set("2", true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m.awaitArrivals(ctx)
	if ctx.Err() != nil {
		t.Errorf("it waits for %q", m.incoming.list())
	}
}

// If an instance is deleted while it is built, the build ends without an error.
func TestInstanceThatIsDeletedMeanwhile(t *testing.T) {
	m, _ := newTestManager(t)
	err := m.BuildAndRunInstance(t.Context(), rpcapi.BuildArgs{Instance: rpcapi.Instance{UUID: "1", Host: "c1"}})
	if err != nil || m.guests.runs("1") {
		t.Errorf("it runs: %t, %v", m.guests.runs("1"), err)
	}
}

// A message changes an instance if the instance is in the task for which the message was sent, or
// in no task because the task ended when the host started. It does not change an instance in
// another task.
func TestChange(t *testing.T) {
	for name, c := range map[string]struct {
		task string
		ok   bool
	}{
		"the task goes on":   {rpcapi.Rebuilding, true},
		"the task was ended": {"", true},
		"another has begun":  {rpcapi.Migrating, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := rpcapi.Instance{UUID: "1", Host: "c1", VMState: rpcapi.Active, TaskState: c.task, ImageRef: "cirros"}
			m, all := newTestManager(t, now)
			m.guests.run(now.UUID)
			sent, want := now, now
			sent.TaskState = rpcapi.Rebuilding
			if c.ok {
				want.TaskState, want.ImageRef = "", "debian"
			}
			err := m.RebuildInstance(t.Context(), rpcapi.RebuildArgs{Instance: sent, ImageRef: "debian"})
			if got := all.get("1"); got != want || (err == nil) != c.ok {
				t.Errorf("the instance is %+v, %v", got, err)
			}
		})
	}
}

// An instance can move back immediately: its first host says when it has released the instance.
func TestInstanceMovesBack(t *testing.T) {
	m, _ := newTestManager(t)
	i := rpcapi.Instance{UUID: "1", Host: "c2"}
	m.guests.run(i.UUID)
	check := func() error { return m.CheckCanLiveMigrateDestination(t.Context(), rpcapi.MigrationArgs{Instance: i}) }
	if _, here := errors.AsType[*rpcapi.MigrationError](check()); !here {
		t.Error("it can move to where it is")
	}
	leaves := m.guests.alone("1")
	checked := make(chan error, 1)
	go func() { checked <- check() }()
	waiting(t, m.guests, "1", 2)
	m.guests.remove("1")
	leaves()
	if err := <-checked; err != nil {
		t.Error(err)
	}
}

// A task without progress is ended, after enough time for its message to arrive late.
func TestLostTasks(t *testing.T) {
	at := func(uuid, task string) rpcapi.Instance {
		return rpcapi.Instance{UUID: uuid, Host: "c1", VMState: rpcapi.Active, TaskState: task}
	}
	m, c := newTestManager(t, at("lost", rpcapi.Rebooting), at("busy", rpcapi.Migrating), at("next", rpcapi.Resizing), at("none", ""))
	done := m.guests.alone("busy")
	m.endLostTasks(t.Context())
	if got := c.get("lost"); got != at("lost", rpcapi.Rebooting) {
		t.Errorf("at the first look: %+v", got)
	}
	c.instances["next"] = at("next", rpcapi.Rebuilding)
	m.endLostTasks(t.Context())
	done()
	lost := at("lost", "")
	lost.Fault = "nothing became of the task rebooting"
	for uuid, want := range map[string]rpcapi.Instance{
		"lost": lost, "busy": at("busy", rpcapi.Migrating), "next": at("next", rpcapi.Rebuilding), "none": at("none", ""),
	} {
		if got := c.get(uuid); got != want {
			t.Errorf("%s is %+v", uuid, got)
		}
	}
}

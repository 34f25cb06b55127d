package main

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conductor is a conductor for tests that has one instance.
type conductor struct {
	instance rpcapi.Instance
	begins   func() // is called when a task has begun
}

func (c *conductor) ObjectAction(_ context.Context, args rpcapi.ObjectActionArgs) (rpcapi.Instance, error) {
	c.instance.TaskState = args.ObjInst.TaskState
	if c.instance.TaskState != "" {
		c.begins()
	}
	return c.instance, nil
}

func (c *conductor) ObjectClassActionVersions(context.Context, rpcapi.ObjectClassActionArgs) (any, error) {
	return []rpcapi.Instance{c.instance}, nil
}

// compute is a compute that is asked to restart instances.
type compute struct {
	rpcapi.Compute

	reboots chan rpcapi.Instance
}

func (c compute) RebootInstance(_ context.Context, args rpcapi.RebootArgs) error {
	c.reboots <- args.Instance
	return nil
}

// A task that has begun continues even if its caller no longer waits, on the host where the
// instance is then.
func TestTaskThatHasBegunGoesOn(t *testing.T) {
	f := oslorpctest.New(t, rpcapi.ErrorTypes()...)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	all := &conductor{instance: rpcapi.Instance{UUID: "1", DisplayName: "vm", Host: "c1", VMState: rpcapi.Active}}
	all.begins = func() {
		all.instance.Host = "c2" // it moved since it was listed
		leave()
	}
	c2 := compute{reboots: make(chan rpcapi.Instance, 1)}
	f.Serve(oslorpc.Target{Topic: rpcapi.ConductorTopic, Server: "ctl"}, []oslorpc.Endpoint{rpcapi.ConductorManager(all)})
	f.Serve(oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: "c2"}, []oslorpc.Endpoint{rpcapi.ComputeManager(c2)})
	a := &api{cells: rpcapi.NewCells(map[string]*oslorpc.Transport{rpcapi.OwnCell: f.Transport()}, rpcapi.Config{})}
	if err := a.Reboot(ctx, rebootArgs{serverArgs: serverArgs{"vm"}}); err != nil {
		t.Fatal(err)
	}
	if i := <-c2.reboots; i != all.instance || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("started again: %+v", i)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// computeTask runs tasks that involve several services. It is stateless, so any conductor can run
// the next one.
type computeTask struct {
	cells     *rpcapi.Cells
	scheduler *rpcapi.SchedulerAPI
	sayf      func(format string, args ...any)
}

// BuildInstances finds hosts for instances, and sends the build messages.
func (t *computeTask) BuildInstances(ctx context.Context, args rpcapi.BuildInstancesArgs) error {
	uuids := make([]string, len(args.Instances))
	for n, instance := range args.Instances {
		uuids[n] = instance.UUID
	}
	destinations, err := t.scheduler.SelectDestinations(ctx, args.RequestSpec, uuids, true)
	if err == nil && len(destinations) != len(uuids) {
		err = fmt.Errorf("the scheduler found hosts for %d instances of %d", len(destinations), len(uuids))
	}
	var failures []error
	for n, instance := range args.Instances {
		if err != nil {
			failures = append(failures, t.bury(ctx, instance, err))
			continue
		}
		failures = append(failures, t.build(ctx, instance, args.RequestSpec, destinations[n]))
	}
	return errors.Join(failures...)
}

// build builds an instance on the first of some hosts that accepts it. It tries the next host only
// if it is certain that the previous one does not build the instance.
func (t *computeTask) build(ctx context.Context, i rpcapi.Instance, spec rpcapi.RequestSpec, hosts []rpcapi.Selection) error {
	cell, err := t.cells.Get(hosts[0].Cell)
	if err != nil {
		return t.bury(ctx, i, err)
	}
	i.Host = hosts[0].ServiceHost
	if err := cell.Conductor.Create(ctx, i); err != nil {
		return t.bury(ctx, i, fmt.Errorf("cell %s does not take it: %w", cell.Name, err))
	}
	for n, selected := range hosts {
		if n > 0 {
			i.Host = selected.ServiceHost
			if err := cell.Conductor.Save(ctx, i); err != nil {
				return err
			}
		}
		t.sayf("has %s built on %s", i.DisplayName, i.Host)
		err = cell.Compute.BuildAndRunInstance(ctx, i.Host, i, spec, nil)
		if err == nil || !oslorpc.SafeToRetry(err) {
			break
		}
		slog.WarnContext(ctx, "a host did not take an instance", "host", i.Host, "instance", i.DisplayName, "error", err)
	}
	if err != nil {
		return t.fail(ctx, cell, i, err)
	}
	return nil
}

// fail marks an instance as failed, unless a host builds it after all. If it is certain that none
// does, the instance has no host.
func (t *computeTask) fail(ctx context.Context, cell *rpcapi.Cell, i rpcapi.Instance, why error) error {
	task := i.TaskState
	i.VMState, i.TaskState, i.Fault = rpcapi.Failed, "", why.Error()
	if oslorpc.SafeToRetry(why) {
		i.Host = ""
	}
	err := cell.Conductor.SaveIf(ctx, task, i)
	if _, built := errors.AsType[*rpcapi.UnexpectedTaskState](err); built {
		return nil
	}
	return err
}

// bury keeps an instance without a host, so that its owner can see the reason. In Nova, cell0 is
// for that.
func (t *computeTask) bury(ctx context.Context, i rpcapi.Instance, why error) error {
	i.VMState, i.TaskState, i.Host, i.Fault = rpcapi.Failed, "", "", why.Error()
	return t.cells.Own().Conductor.Create(ctx, i)
}

// MigrateServer finds a host for an instance, checks it, and starts the move on the instance's
// host.
func (t *computeTask) MigrateServer(ctx context.Context, args rpcapi.MigrateServerArgs) (s rpcapi.Selection, err error) {
	if !args.Live {
		return s, &rpcapi.MigrationError{Reason: "only live migrations are supported"}
	}
	hint := args.SchedulerHint
	cell, err := t.cells.Get(hint.Cell)
	if err != nil {
		return s, err
	}
	i, err := cell.Conductor.GetByUUID(ctx, args.Instance.UUID) // it may have been changed since the message was sent
	if err != nil {
		return s, err
	}
	if i.VMState != rpcapi.Active || i.TaskState != "" {
		return s, &rpcapi.MigrationError{Reason: fmt.Sprintf("instance %s is in the state %q, and in the task %q", i.DisplayName, i.VMState, i.TaskState)}
	}
	spec := rpcapi.RequestSpec{Flavor: i.Flavor, Cell: hint.Cell, Host: hint.Host, IgnoreHosts: []string{i.Host}}
	destinations, err := t.scheduler.SelectDestinations(ctx, spec, []string{i.UUID}, false)
	if err != nil {
		return s, err
	}
	s = destinations[0][0]
	if err := cell.Compute.CheckCanLiveMigrateDestination(ctx, i, s.ServiceHost, false); err != nil {
		return s, err
	}
	return s, t.migrate(ctx, cell, i, s.ServiceHost)
}

// migrate starts the move on the host of an instance. It continues even if the caller no longer
// waits.
func (t *computeTask) migrate(ctx context.Context, cell *rpcapi.Cell, i rpcapi.Instance, dest string) error {
	ctx = context.WithoutCancel(ctx)
	source := i.Host
	i, err := cell.Conductor.Begin(ctx, rpcapi.Migrating, i)
	if busy, ok := errors.AsType[*rpcapi.UnexpectedTaskState](err); ok {
		return &rpcapi.MigrationError{Reason: busy.Error()}
	}
	if err != nil {
		return err
	}
	if i.Host != source {
		err = &rpcapi.MigrationError{Reason: fmt.Sprintf("instance %s has moved to %s meanwhile", i.DisplayName, i.Host)}
	} else {
		t.sayf("has %s moved from %s to %s", i.DisplayName, i.Host, dest)
		err = cell.Compute.LiveMigration(ctx, i, dest, false)
		if err == nil || !oslorpc.SafeToRetry(err) { // it may be on its way
			return err
		}
	}
	i.TaskState = ""
	return errors.Join(err, cell.Conductor.SaveIf(ctx, rpcapi.Migrating, i))
}

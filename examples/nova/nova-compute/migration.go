package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

// A live migration involves two hosts. The instance's host runs LiveMigration, and calls the
// destination before and after the move. If the hosts lose contact, the conductor's data decides:
// each host tries to end the task in the conductor, which allows only one of them to do so, and the
// instance belongs to that host.

// CheckCanLiveMigrateDestination checks whether an instance can move here. An instance that is
// about to leave counts as gone.
func (m *manager) CheckCanLiveMigrateDestination(_ context.Context, args rpcapi.MigrationArgs) error {
	if args.BlockMigration {
		return &rpcapi.MigrationError{Reason: "all hosts share their storage, so there is nothing to copy"}
	}
	defer m.guests.alone(args.Instance.UUID)()
	if m.guests.runs(args.Instance.UUID) {
		return &rpcapi.MigrationError{Reason: "the instance is on " + m.Host + " already"}
	}
	return nil
}

// LiveMigration moves an instance to another host.
func (m *manager) LiveMigration(ctx context.Context, args rpcapi.LiveMigrationArgs) error {
	defer m.guests.alone(args.Instance.UUID)()
	i, err := m.cell.Conductor.GetByUUID(ctx, args.Instance.UUID)
	switch {
	case err != nil:
		return err
	case i.TaskState != rpcapi.Migrating: // the message was sent before this host was started, which ended the task
		return &rpcapi.MigrationError{Reason: fmt.Sprintf("instance %s is in the task %q", i.DisplayName, i.TaskState)}
	case !m.guests.runs(i.UUID):
		return &rpcapi.InstanceNotFound{InstanceID: i.UUID}
	}
	m.Sayf("moves %s to %s", i.DisplayName, args.Dest)
	if err := m.cell.Compute.PreLiveMigration(ctx, i, args.Dest, args.BlockMigration); err != nil {
		return m.stay(ctx, i, args.Dest, err)
	}
	if err := m.copyMemory(ctx); err != nil {
		return m.stay(ctx, i, args.Dest, err)
	}
	if err := m.cell.Compute.PostLiveMigrationAtDestination(ctx, i, args.Dest, args.BlockMigration); err != nil {
		return m.stay(ctx, i, args.Dest, err)
	}
	m.left(ctx, i)
	return nil
}

// copyMemory simulates the time for copying the memory.
func (m *manager) copyMemory(ctx context.Context) error {
	select {
	case <-time.After(m.migrationTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// left removes an instance that now runs on another host.
func (m *manager) left(ctx context.Context, i rpcapi.Instance) {
	m.guests.remove(i.UUID)
	m.told(ctx, m.scheduler.DeleteInstanceInfo(ctx, m.Host, i.UUID))
}

// stay keeps running an instance whose move failed, unless it arrived at the destination after all.
func (m *manager) stay(ctx context.Context, i rpcapi.Instance, dest string, why error) error {
	ctx = context.WithoutCancel(ctx)
	i.VMState, i.TaskState, i.Fault = rpcapi.Active, "", "it did not move: "+why.Error()
	err := m.cell.Conductor.SaveIf(ctx, rpcapi.Migrating, i)
	_, moved := errors.AsType[*rpcapi.UnexpectedTaskState](err)
	_, deleted := errors.AsType[*rpcapi.InstanceNotFound](err)
	if moved || deleted {
		m.left(ctx, i)
		return nil
	}
	m.Sayf("keeps %s: %v", i.DisplayName, why)
	return errors.Join(why, err, m.cell.Compute.RollbackLiveMigrationAtDestination(ctx, i, dest))
}

// PreLiveMigration prepares for an arriving instance.
func (m *manager) PreLiveMigration(_ context.Context, args rpcapi.PreLiveMigrationArgs) error {
	m.Sayf("prepares for %s", args.Instance.DisplayName)
	m.incoming.set(args.Instance.UUID, true)
	return nil
}

// PostLiveMigrationAtDestination runs an instance that has arrived.
func (m *manager) PostLiveMigrationAtDestination(ctx context.Context, args rpcapi.MigrationArgs) error {
	ctx = context.WithoutCancel(ctx) // from here on it is this host's, though its host before may be lost
	i := args.Instance
	defer m.guests.alone(i.UUID)()
	defer m.incoming.set(i.UUID, false)
	i.VMState, i.TaskState, i.Fault, i.Host = rpcapi.Active, "", "", m.Host
	if err := m.cell.Conductor.SaveIf(ctx, rpcapi.Migrating, i); err != nil && !m.owns(ctx, i) {
		return err
	}
	m.Sayf("runs %s now", i.DisplayName)
	m.guests.run(i.UUID, i.DisplayName+" login:")
	m.told(ctx, m.scheduler.UpdateInstanceInfo(ctx, m.Host, i))
	return nil
}

// owns reports whether the conductor says that an instance is on this host.
func (m *manager) owns(ctx context.Context, i rpcapi.Instance) bool {
	now, err := m.cell.Conductor.GetByUUID(ctx, i.UUID)
	return err == nil && now.Host == m.Host
}

// RollbackLiveMigrationAtDestination cancels the expected arrival of an instance.
func (m *manager) RollbackLiveMigrationAtDestination(_ context.Context, args rpcapi.InstanceArgs) error {
	m.Sayf("waits for %s no longer", args.Instance.DisplayName)
	m.incoming.set(args.Instance.UUID, false)
	return nil
}

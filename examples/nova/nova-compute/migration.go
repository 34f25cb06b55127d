package main

import (
	"context"
	"errors"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A live migration takes two hosts: the instance's, which runs LiveMigration, and the destination, which it calls before and after.

// CheckCanLiveMigrateDestination says whether an instance can move here.
func (m *manager) CheckCanLiveMigrateDestination(_ context.Context, args rpcapi.MigrationArgs) error {
	if args.BlockMigration {
		return &rpcapi.MigrationError{Reason: "all hosts share their storage, so there is nothing to copy"}
	}
	if m.guests.runs(args.Instance.UUID) {
		return &rpcapi.MigrationError{Reason: "the instance is on " + m.Host + " already"}
	}
	return nil
}

// LiveMigration moves an instance to another host.
func (m *manager) LiveMigration(ctx context.Context, args rpcapi.LiveMigrationArgs) error {
	i := args.Instance
	defer m.guests.alone(i.UUID)()
	if !m.guests.runs(i.UUID) {
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
		return m.settle(ctx, i, args.Dest, err)
	}
	return m.left(ctx, i)
}

// copyMemory takes the time that it takes.
func (m *manager) copyMemory(ctx context.Context) error {
	select {
	case <-time.After(m.migrationTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// left takes note that an instance runs elsewhere now.
func (m *manager) left(ctx context.Context, i rpcapi.Instance) error {
	m.guests.remove(i.UUID)
	m.told(ctx, m.scheduler.DeleteInstanceInfo(ctx, m.Host, i.UUID))
	return nil
}

// stay goes on running an instance here that did not move.
func (m *manager) stay(ctx context.Context, i rpcapi.Instance, dest string, why error) error {
	ctx = context.WithoutCancel(ctx)
	m.Sayf("keeps %s: %v", i.DisplayName, why)
	i.Fault = "it did not move: " + why.Error()
	return errors.Join(why, m.become(ctx, i, rpcapi.Active), m.cell.Compute.RollbackLiveMigrationAtDestination(ctx, i, dest))
}

// settle decides what becomes of an instance when the destination did not say that it runs there. Before it says so, the destination
// writes it down. If it is neither certain that it runs there nor that it does not, it must not run here either.
func (m *manager) settle(ctx context.Context, i rpcapi.Instance, dest string, why error) error {
	if oslorpc.SafeToRetry(why) {
		return m.stay(ctx, i, dest, why)
	}
	ctx = context.WithoutCancel(ctx)
	now, err := m.cell.Conductor.GetByUUID(ctx, i.UUID)
	if err == nil && now.Host == dest {
		return m.left(ctx, i)
	}
	i.Fault = "it is not known whether it runs on " + dest + ": " + why.Error()
	return errors.Join(why, err, m.become(ctx, i, rpcapi.Failed))
}

// PreLiveMigration prepares for an instance that is about to come.
func (m *manager) PreLiveMigration(_ context.Context, args rpcapi.MigrationArgs) error {
	m.Sayf("prepares for %s", args.Instance.DisplayName)
	m.incoming.set(args.Instance.UUID, true)
	return nil
}

// PostLiveMigrationAtDestination runs an instance that has come.
func (m *manager) PostLiveMigrationAtDestination(ctx context.Context, args rpcapi.MigrationArgs) error {
	i := args.Instance
	defer m.guests.alone(i.UUID)()
	defer m.incoming.set(i.UUID, false)
	m.Sayf("runs %s now", i.DisplayName)
	m.guests.put(i, i.DisplayName+" login:")
	i.Fault = ""
	if err := m.become(ctx, i, rpcapi.Active); err != nil {
		m.guests.remove(i.UUID)
		return err
	}
	m.told(ctx, m.scheduler.UpdateInstanceInfo(ctx, m.Host, i))
	return nil
}

// RollbackLiveMigrationAtDestination forgets an instance that was about to come.
func (m *manager) RollbackLiveMigrationAtDestination(_ context.Context, args rpcapi.InstanceArgs) error {
	m.Sayf("waits for %s no longer", args.Instance.DisplayName)
	m.incoming.set(args.Instance.UUID, false)
	return nil
}

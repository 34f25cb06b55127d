package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/examples/nova/service"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// manager implements the methods of a compute on its host. The outcome of a cast is in the state of
// the instance, which the conductor keeps.
type manager struct {
	*service.Service
	options

	server    *oslorpc.Server
	cell      *rpcapi.Cell
	scheduler *rpcapi.SchedulerAPI
	started   time.Time
	guests    *guests
	incoming  *arrivals
	// idle has the tasks that were not in progress at the last run of endLostTasks, by instance.
	idle map[string]string
}

func newManager(s *service.Service, o options, server *oslorpc.Server) *manager {
	cell := s.Cells.Own()
	return &manager{
		Service: s, options: o, server: server, cell: cell, started: time.Now(), guests: newGuests(),
		scheduler: rpcapi.NewSchedulerAPI(cell.Transport, s.Config),
		incoming:  &arrivals{uuids: map[string]bool{}, changed: make(chan struct{})},
	}
}

// initHost starts the instances that belong to this host.
func (m *manager) initHost(ctx context.Context) error {
	all, err := m.cell.Conductor.GetByHost(rpcapi.AdminContext(ctx), m.Host)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.VMState == rpcapi.Building {
			// The build message was lost with the queue of the previous process, or has not arrived
			// yet. In the second case, the instance is still built.
			i.VMState, i.Fault = rpcapi.Failed, "the host went down while it was built"
		}
		if task := i.TaskState; task != "" { // it was about to be built, changed, or to leave, when the host went down
			i.TaskState = ""
			err := m.cell.Conductor.SaveIf(ctx, task, i)
			_, changed := errors.AsType[*rpcapi.UnexpectedTaskState](err)
			_, deleted := errors.AsType[*rpcapi.InstanceNotFound](err)
			if changed || deleted { // by its destination, or by who waited for this host no longer
				return m.initHost(ctx)
			}
			if err != nil {
				return err
			}
		}
		if i.VMState == rpcapi.Active && !m.guests.runs(i.UUID) { // it may have come just now
			m.guests.run(i.UUID, "Booting "+i.ImageRef, i.DisplayName+" login:")
		}
	}
	return nil
}

// endLostTasks ends tasks of instances on this host that are not in progress now and were not at
// its last run. The messages for these tasks were lost. Their senders did not know whether the
// messages arrived, so only this host can end the tasks.
func (m *manager) endLostTasks(ctx context.Context) {
	all, err := m.cell.Conductor.GetByHost(rpcapi.AdminContext(ctx), m.Host)
	if err != nil {
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "the conductor does not say which tasks there are", "error", err)
		}
		return
	}
	before := m.idle
	m.idle = map[string]string{}
	for _, i := range all {
		switch task := i.TaskState; {
		case task == "" || i.VMState != rpcapi.Active || m.guests.isBusy(i.UUID):
		case before[i.UUID] == task:
			m.endLostTask(ctx, i)
		default:
			m.idle[i.UUID] = task
		}
	}
}

func (m *manager) endLostTask(ctx context.Context, i rpcapi.Instance) {
	defer m.guests.alone(i.UUID)()
	task := i.TaskState
	i.TaskState, i.Fault = "", "nothing became of the task "+task
	if err := m.cell.Conductor.SaveIf(rpcapi.AdminContext(ctx), task, i); err != nil {
		slog.WarnContext(ctx, "a task was not ended that nothing is done about", "instance", i.DisplayName, "task", task, "error", err)
		return
	}
	m.Sayf("ends the task %s of %s, since nothing became of it", task, i.DisplayName)
}

// sync reports all instances to schedulers.
func (m *manager) sync(ctx context.Context) {
	m.told(ctx, m.scheduler.SyncInstanceInfo(rpcapi.AdminContext(ctx), m.Host, m.guests.uuids()))
}

// told logs an error of a report to the schedulers. The report need not be repeated, because the
// next sync contains everything.
func (m *manager) told(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "not all schedulers know what is on this host", "error", err)
	}
}

// BuildAndRunInstance builds an instance.
func (m *manager) BuildAndRunInstance(ctx context.Context, args rpcapi.BuildArgs) error {
	defer m.guests.alone(args.Instance.UUID)()
	i := args.Instance
	m.Sayf("builds %s", i.DisplayName)
	m.guests.run(i.UUID, "Booting "+args.Image, i.DisplayName+" login:")
	i.VMState, i.TaskState, i.Host = rpcapi.Active, "", m.Host
	err := m.cell.Conductor.Save(ctx, i)
	if _, deleted := errors.AsType[*rpcapi.InstanceNotFound](err); deleted {
		m.guests.remove(i.UUID)
		return nil
	}
	if err != nil {
		return err
	}
	m.told(ctx, m.scheduler.UpdateInstanceInfo(ctx, m.Host, i))
	return nil
}

// TerminateInstance deletes an instance. If it has moved since the message was sent, the message is
// passed on to its new host.
func (m *manager) TerminateInstance(ctx context.Context, args rpcapi.InstanceArgs) error {
	defer m.guests.alone(args.Instance.UUID)()
	i, err := m.cell.Conductor.GetByUUID(ctx, args.Instance.UUID)
	if _, gone := errors.AsType[*rpcapi.InstanceNotFound](err); gone {
		return nil
	}
	switch {
	case err != nil:
		return err
	case i.Host != m.Host:
		return m.cell.Compute.TerminateInstance(ctx, i)
	}
	m.Sayf("deletes %s", i.DisplayName)
	m.guests.remove(i.UUID)
	if err := m.cell.Conductor.Destroy(ctx, i); err != nil {
		return err
	}
	m.told(ctx, m.scheduler.DeleteInstanceInfo(ctx, m.Host, i.UUID))
	return nil
}

// RebootInstance restarts an instance.
func (m *manager) RebootInstance(ctx context.Context, args rpcapi.RebootArgs) error {
	return m.change(ctx, args.Instance, func(i rpcapi.Instance) rpcapi.Instance {
		m.Sayf("reboots %s, %s", i.DisplayName, args.RebootType)
		m.guests.run(i.UUID, "Rebooting", i.DisplayName+" login:")
		return i
	})
}

// RebuildInstance builds an instance again from another image.
func (m *manager) RebuildInstance(ctx context.Context, args rpcapi.RebuildArgs) error {
	return m.change(ctx, args.Instance, func(i rpcapi.Instance) rpcapi.Instance {
		what := "the disk of " + i.DisplayName
		if args.ReimageBootVolume.Or(false) {
			what = "the boot volume of " + i.DisplayName
		}
		m.Sayf("rebuilds %s from %s", what, args.ImageRef)
		i.ImageRef = args.ImageRef
		m.guests.run(i.UUID, "Booting "+args.ImageRef, i.DisplayName+" login:")
		return i
	})
}

// ResizeInstance changes the size of an instance.
func (m *manager) ResizeInstance(ctx context.Context, args rpcapi.ResizeArgs) error {
	return m.change(ctx, args.Instance, func(i rpcapi.Instance) rpcapi.Instance {
		m.Sayf("resizes %s to %s", i.DisplayName, args.Flavor.Name)
		i.Flavor = args.Flavor
		return i
	})
}

// change changes an instance that runs here, and saves it at the conductor, which ends the task. If
// another task has begun since the message was sent, the change fails.
func (m *manager) change(ctx context.Context, i rpcapi.Instance, change func(rpcapi.Instance) rpcapi.Instance) error {
	defer m.guests.alone(i.UUID)()
	expected := i.TaskState
	i, err := m.cell.Conductor.GetByUUID(ctx, i.UUID) // it may have been changed since the message was sent
	if err != nil {
		return err
	}
	task := i.TaskState // it is empty if this host was started since
	if task != expected && task != "" {
		return &rpcapi.UnexpectedTaskState{InstanceID: i.UUID, Expected: expected, Actual: task}
	}
	i.TaskState = ""
	if !m.guests.runs(i.UUID) {
		i.Fault = "it does not run on " + m.Host
		return errors.Join(errors.New(i.Fault), m.cell.Conductor.SaveIf(ctx, task, i))
	}
	i = change(i)
	i.VMState = rpcapi.Active
	return m.cell.Conductor.SaveIf(ctx, task, i)
}

// GetConsoleOutput returns the last lines of the console of an instance.
func (m *manager) GetConsoleOutput(_ context.Context, args rpcapi.ConsoleArgs) (string, error) {
	lines, ok := m.guests.console(args.Instance.UUID)
	if !ok {
		return "", &rpcapi.InstanceNotFound{InstanceID: args.Instance.UUID}
	}
	if n := args.TailLength; n > 0 && n < len(lines) {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n"), nil
}

// GetHostUptime returns for how long the host has been up, as text.
func (m *manager) GetHostUptime(context.Context) (string, error) {
	return fmt.Sprintf("up %v, %d instances, %s", time.Since(m.started).Round(time.Second), len(m.guests.uuids()), m.release), nil
}

// SetHostEnabled allows or forbids new instances on the host: the scheduler passes over a draining
// server, which is still reached by its name.
func (m *manager) SetHostEnabled(ctx context.Context, args rpcapi.EnabledArgs) (string, error) {
	if args.Enabled {
		m.Sayf("is enabled")
		return "enabled", m.server.Resume(ctx)
	}
	m.Sayf("is disabled")
	return "disabled", m.server.Drain(ctx)
}

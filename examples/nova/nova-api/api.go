package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// endpoint returns the endpoint for operators.
func endpoint(a *api) oslorpc.Endpoint {
	methods := oslorpc.Methods(a)
	for _, method := range []string{
		"Boot", "Show", "Delete", "Reboot", "Rebuild", "Resize", "Console", "LiveMigrate", "EnableHost", "DisableHost",
	} {
		methods = methods.Expect(method,
			oslorpc.ErrorType[*badRequest](), oslorpc.ErrorType[*rpcapi.InstanceNotFound](),
			oslorpc.ErrorType[*rpcapi.NoValidHost](), oslorpc.ErrorType[*rpcapi.MigrationError](),
			oslorpc.UnsupportedVersion, oslorpc.VersionCapExceeded) // the compute is too old for what is asked of it
	}
	return oslorpc.Endpoint{Version: "1.0", Struct: methods}
}

// badRequest is the error for a mistake of the caller. The service returns it and does not log it
// as an error.
type badRequest struct {
	Reason string `json:"reason"`
}

func (e *badRequest) Error() string { return e.Reason }

func badRequestf(format string, args ...any) error { return &badRequest{fmt.Sprintf(format, args...)} }

// api has the methods for operators. It sends tasks on one host to that host, and other tasks to a
// conductor.
type api struct {
	cells *rpcapi.Cells
	tasks *rpcapi.ComputeTaskAPI
}

type (
	bootArgs struct {
		Name   string              `json:"name"`
		Image  oslorpc.Opt[string] `json:"image"`
		Flavor oslorpc.Opt[string] `json:"flavor"`
		Cell   oslorpc.Opt[string] `json:"cell"`
		Host   oslorpc.Opt[string] `json:"host"`
		Count  oslorpc.Opt[int]    `json:"count"`
	}
	serverArgs struct {
		// Server is the name of an instance, or its UUID.
		Server string `json:"server"`
	}
	rebootArgs struct {
		serverArgs

		Type oslorpc.Opt[string] `json:"type"`
	}
	rebuildArgs struct {
		serverArgs

		Image             string            `json:"image"`
		ReimageBootVolume oslorpc.Opt[bool] `json:"reimage_boot_volume"`
	}
	resizeArgs struct {
		serverArgs

		Flavor string `json:"flavor"`
	}
	consoleArgs struct {
		serverArgs

		Tail oslorpc.Opt[int] `json:"tail"`
	}
	migrateArgs struct {
		serverArgs

		Host oslorpc.Opt[string] `json:"host"`
	}
	hostArgs struct {
		Host string              `json:"host"`
		Cell oslorpc.Opt[string] `json:"cell"`
	}
)

var flavors = map[string]rpcapi.Flavor{
	"m1.tiny":  {Name: "m1.tiny", VCPUs: 1, MemoryMB: 512},
	"m1.small": {Name: "m1.small", VCPUs: 1, MemoryMB: 2048},
	"m1.large": {Name: "m1.large", VCPUs: 4, MemoryMB: 8192},
}

func flavor(name string) (rpcapi.Flavor, error) {
	if f, ok := flavors[name]; ok {
		return f, nil
	}
	return rpcapi.Flavor{}, badRequestf("there is no flavor %q, but %s", name, strings.Join(slices.Sorted(maps.Keys(flavors)), ", "))
}

// Boot requests instances, and returns their names. Their states show the progress.
func (a *api) Boot(ctx context.Context, args bootArgs) ([]string, error) {
	size, err := flavor(args.Flavor.Or("m1.tiny"))
	if err != nil {
		return nil, err
	}
	count := args.Count.Or(1)
	if count < 1 || count > 100 {
		return nil, badRequestf("count is %d, and must be from 1 to 100", count)
	}
	if _, err := a.cells.Get(args.Cell.Or(rpcapi.OwnCell)); err != nil {
		return nil, badRequestf("%v", err)
	}
	instances, names := make([]rpcapi.Instance, count), make([]string, count)
	for n := range instances {
		instances[n] = rpcapi.Instance{
			UUID: rpcapi.NewUUID(), DisplayName: args.Name, VMState: rpcapi.Building, TaskState: rpcapi.Scheduling,
			ImageRef: args.Image.Or("cirros"), Flavor: size,
		}
		if count > 1 {
			instances[n].DisplayName = fmt.Sprintf("%s-%d", args.Name, n+1)
		}
		names[n] = instances[n].DisplayName
	}
	spec := rpcapi.RequestSpec{Flavor: size, Cell: args.Cell.Or(""), Host: args.Host.Or("")}
	return names, a.tasks.BuildInstances(ctx, instances, spec)
}

// Show returns an instance.
func (a *api) Show(ctx context.Context, args serverArgs) (located, error) {
	return a.find(ctx, args.Server)
}

// List lists the instances of all cells.
func (a *api) List(ctx context.Context) (listing, error) {
	all := a.list(ctx)
	if all.failure != nil {
		slog.WarnContext(ctx, "not all cells answer", "error", all.failure)
	}
	short := listing{Servers: []entry{}, Unknown: all.unknown}
	for _, i := range all.servers {
		short.Servers = append(short.Servers, entry{i.DisplayName, i.VMState, i.TaskState, i.Host, i.Cell})
	}
	return short, nil
}

// Delete deletes an instance.
func (a *api) Delete(ctx context.Context, args serverArgs) error {
	i, cell, err := a.locate(ctx, args.Server)
	switch {
	case err != nil:
		return err
	case i.Host == "":
		return cell.Conductor.Destroy(ctx, i)
	}
	return cell.Compute.TerminateInstance(ctx, i)
}

// Reboot restarts an instance.
func (a *api) Reboot(ctx context.Context, args rebootArgs) error {
	return a.begin(ctx, args.Server, rpcapi.Rebooting, func(ctx context.Context, i rpcapi.Instance, cell *rpcapi.Cell) error {
		return cell.Compute.RebootInstance(ctx, i, args.Type.Or("soft"))
	})
}

// Rebuild builds an instance again from another image.
func (a *api) Rebuild(ctx context.Context, args rebuildArgs) error {
	return a.begin(ctx, args.Server, rpcapi.Rebuilding, func(ctx context.Context, i rpcapi.Instance, cell *rpcapi.Cell) error {
		return cell.Compute.RebuildInstance(ctx, i, args.Image, nil, args.ReimageBootVolume.Or(false))
	})
}

// Resize changes the size of an instance.
func (a *api) Resize(ctx context.Context, args resizeArgs) error {
	size, err := flavor(args.Flavor)
	if err != nil {
		return err
	}
	return a.begin(ctx, args.Server, rpcapi.Resizing, func(ctx context.Context, i rpcapi.Instance, cell *rpcapi.Cell) error {
		return cell.Compute.ResizeInstance(ctx, i, size, rpcapi.RequestSpec{Flavor: size, Cell: cell.Name, Host: i.Host})
	})
}

// Console returns the last lines of the console of an instance.
func (a *api) Console(ctx context.Context, args consoleArgs) ([]string, error) {
	i, cell, err := a.running(ctx, args.Server)
	if err != nil {
		return nil, err
	}
	output, err := cell.Compute.GetConsoleOutput(ctx, i, args.Tail.Or(0))
	return strings.Split(output, "\n"), err
}

// LiveMigrate moves an instance while it runs, and returns the destination.
func (a *api) LiveMigrate(ctx context.Context, args migrateArgs) (rpcapi.Selection, error) {
	i, cell, err := a.locate(ctx, args.Server)
	if err != nil {
		return rpcapi.Selection{}, err
	}
	return a.tasks.MigrateServer(ctx, i, cell.Name, args.Host.Or(""))
}

// EnableHost allows new instances on a host.
func (a *api) EnableHost(ctx context.Context, args hostArgs) (string, error) {
	return a.setHost(ctx, args, true)
}

// DisableHost forbids new instances on a host.
func (a *api) DisableHost(ctx context.Context, args hostArgs) (string, error) {
	return a.setHost(ctx, args, false)
}

func (a *api) setHost(ctx context.Context, args hostArgs, enabled bool) (string, error) {
	cell, err := a.cells.Get(args.Cell.Or(rpcapi.OwnCell))
	if err != nil {
		return "", badRequestf("%v", err)
	}
	state, err := cell.Compute.SetHostEnabled(ctx, args.Host, enabled)
	if errors.Is(err, oslorpc.NoInstance) {
		return "", badRequestf("no compute called %q is up in cell %s", args.Host, cell.Name)
	}
	return state, err
}

// hostTimeout bounds how long to wait for a compute that is down. It is shorter than the timeout of
// operators, so that they get the error.
const hostTimeout = 30 * time.Second

// begin begins a task with an instance, unless another task is running. The compute that gets the
// message of send ends the task. If the compute certainly did not get it, begin ends the task.
func (a *api) begin(
	ctx context.Context, server, task string, send func(context.Context, rpcapi.Instance, *rpcapi.Cell) error,
) error {
	i, cell, err := a.running(ctx, server)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // the task continues or ends here, even if the caller no longer waits
	i, err = cell.Conductor.Begin(ctx, task, i)
	if busy, ok := errors.AsType[*rpcapi.UnexpectedTaskState](err); ok {
		return badRequestf("instance %s is in the task %q: wait until that is done", server, busy.Actual)
	}
	if err != nil {
		return err
	}
	sending, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	err = send(sending, i, cell)
	if err == nil || !oslorpc.SafeToRetry(err) {
		return err
	}
	i.TaskState = ""
	return errors.Join(err, cell.Conductor.SaveIf(ctx, task, i))
}

// running returns an instance that is on a host.
func (a *api) running(ctx context.Context, server string) (rpcapi.Instance, *rpcapi.Cell, error) {
	i, cell, err := a.locate(ctx, server)
	if err == nil && i.Host == "" {
		err = badRequestf("instance %s is on no compute: %s", server, i.Fault)
	}
	return i, cell, err
}

// locate returns an instance, and its cell.
func (a *api) locate(ctx context.Context, server string) (rpcapi.Instance, *rpcapi.Cell, error) {
	found, err := a.find(ctx, server)
	if err != nil {
		return rpcapi.Instance{}, nil, err
	}
	cell, err := a.cells.Get(found.Cell)
	return rpcapi.Instance(found.Fields), cell, err
}

// find looks for an instance in all cells.
func (a *api) find(ctx context.Context, server string) (located, error) {
	all := a.list(ctx)
	var found []located
	var uuids []string
	for _, i := range all.servers {
		if i.UUID == server || i.DisplayName == server {
			found, uuids = append(found, i), append(uuids, i.UUID)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return located{}, badRequestf("%d instances are called %q: say which, of %s", len(found), server, strings.Join(uuids, ", "))
	case len(all.unknown) > 0:
		return located{}, badRequestf("instance %s is in none of the cells that answer, and may be in another one: %v", server, all.failure)
	}
	return located{}, &rpcapi.InstanceNotFound{InstanceID: server}
}

// located is an instance, and its cell.
type located struct {
	Fields

	Cell string `json:"cell"`
}

// Fields has the fields of an instance. A type with an UnmarshalJSON method cannot be embedded.
type Fields rpcapi.Instance

// listing is the result of the method list.
type (
	listing struct {
		Servers []entry `json:"servers"`
		// Unknown has the cells that do not answer. Their instances continue to run, but are not
		// listed.
		Unknown []string `json:"unknown_cells,omitempty"`
	}
	entry struct {
		Name  string         `json:"name"`
		State rpcapi.VMState `json:"state"`
		Task  string         `json:"task,omitempty"`
		Host  string         `json:"host"`
		Cell  string         `json:"cell"`
	}
)

// known is the combined list of all cells.
type known struct {
	servers []located
	unknown []string
	failure error // why they are unknown
}

// cellTimeout bounds how long to wait for a cell that does not answer.
const cellTimeout = 5 * time.Second

// list asks the conductors of all cells concurrently.
func (a *api) list(ctx context.Context) (all known) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	cells := a.cells.All()
	instances, failures := make([][]rpcapi.Instance, len(cells)), make([]error, len(cells))
	var asking sync.WaitGroup
	for n, cell := range cells {
		asking.Go(func() { instances[n], failures[n] = cell.Conductor.GetAll(ctx) })
	}
	asking.Wait()
	for n, cell := range cells {
		if failures[n] != nil {
			all.unknown = append(all.unknown, cell.Name)
			all.failure = errors.Join(all.failure, fmt.Errorf("cell %s: %w", cell.Name, failures[n]))
		}
		for _, i := range instances[n] {
			all.servers = append(all.servers, located{Fields(i), cell.Name})
		}
	}
	return all
}

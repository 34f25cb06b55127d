package rpcapi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// manager stands for the program behind all endpoints of a service. Each of its methods calls do,
// if it is set, and returns its error.
type manager struct {
	name string
	do   func(ctx context.Context, args any) error
	ran  *atomic.Int32 // nil: not counted
}

func (m manager) run(ctx context.Context, args any) error {
	if m.ran != nil {
		m.ran.Add(1)
	}
	if m.do == nil {
		return nil
	}
	return m.do(ctx, args)
}

func (m manager) BuildAndRunInstance(ctx context.Context, args rpcapi.BuildArgs) error {
	return m.run(ctx, args)
}
func (m manager) TerminateInstance(ctx context.Context, args rpcapi.InstanceArgs) error {
	return m.run(ctx, args)
}
func (m manager) RebootInstance(ctx context.Context, args rpcapi.RebootArgs) error {
	return m.run(ctx, args)
}
func (m manager) RebuildInstance(ctx context.Context, args rpcapi.RebuildArgs) error {
	return m.run(ctx, args)
}
func (m manager) ResizeInstance(ctx context.Context, args rpcapi.ResizeArgs) error {
	return m.run(ctx, args)
}
func (m manager) GetConsoleOutput(ctx context.Context, args rpcapi.ConsoleArgs) (string, error) {
	return m.name + " login:", m.run(ctx, args)
}
func (m manager) GetHostUptime(ctx context.Context) (string, error) {
	return "up on " + m.name, m.run(ctx, nil)
}
func (m manager) SetHostEnabled(ctx context.Context, args rpcapi.EnabledArgs) (string, error) {
	return map[bool]string{true: "enabled", false: "disabled"}[args.Enabled], m.run(ctx, args)
}
func (m manager) CheckCanLiveMigrateDestination(ctx context.Context, args rpcapi.MigrationArgs) error {
	return m.run(ctx, args)
}
func (m manager) LiveMigration(ctx context.Context, args rpcapi.LiveMigrationArgs) error {
	return m.run(ctx, args)
}
func (m manager) PreLiveMigration(ctx context.Context, args rpcapi.PreLiveMigrationArgs) error {
	return m.run(ctx, args)
}
func (m manager) PostLiveMigrationAtDestination(ctx context.Context, args rpcapi.MigrationArgs) error {
	return m.run(ctx, args)
}
func (m manager) RollbackLiveMigrationAtDestination(ctx context.Context, args rpcapi.InstanceArgs) error {
	return m.run(ctx, args)
}

func (m manager) ObjectAction(ctx context.Context, args rpcapi.ObjectActionArgs) (rpcapi.Instance, error) {
	return args.ObjInst, m.run(ctx, args)
}
func (m manager) ObjectClassActionVersions(ctx context.Context, args rpcapi.ObjectClassActionArgs) (any, error) {
	if args.ObjName == "Instance" {
		return web, m.run(ctx, args)
	}
	return []rpcapi.Instance{web}, m.run(ctx, args)
}

func (m manager) BuildInstances(ctx context.Context, args rpcapi.BuildInstancesArgs) error {
	return m.run(ctx, args)
}
func (m manager) MigrateServer(ctx context.Context, args rpcapi.MigrateServerArgs) (rpcapi.Selection, error) {
	return rpcapi.Selection{Cell: args.SchedulerHint.Cell, ServiceHost: m.name}, m.run(ctx, args)
}

func (m manager) SelectDestinations(ctx context.Context, args rpcapi.SelectDestinationsArgs) ([][]rpcapi.Selection, error) {
	return [][]rpcapi.Selection{{{Cell: args.SpecObj.Cell, ServiceHost: "node2"}}}, m.run(ctx, args)
}
func (m manager) UpdateInstanceInfo(ctx context.Context, args rpcapi.UpdateInfoArgs) error {
	return m.run(ctx, args)
}
func (m manager) DeleteInstanceInfo(ctx context.Context, args rpcapi.DeleteInfoArgs) error {
	return m.run(ctx, args)
}
func (m manager) SyncInstanceInfo(ctx context.Context, args rpcapi.SyncInfoArgs) error {
	return m.run(ctx, args)
}

// compute returns the endpoints of a compute with the given latest version. Versions before 6.0
// have no other endpoints, as in Nova.
func compute(m manager, version string) []oslorpc.Endpoint {
	current, v5 := rpcapi.ComputeManager(m), rpcapi.ComputeV5Proxy(m)
	if version[0] == '5' {
		v5.Version, v5.Deprecated = version, ""
		return []oslorpc.Endpoint{v5, rpcapi.BaseRPCAPI("nova-compute")}
	}
	current.Version = version
	return []oslorpc.Endpoint{current, rpcapi.BaseRPCAPI("nova-compute"), v5}
}

func conductor(m manager) []oslorpc.Endpoint {
	return []oslorpc.Endpoint{rpcapi.ConductorManager(m), rpcapi.BaseRPCAPI("nova-conductor"), rpcapi.ComputeTaskManager(m)}
}

func scheduler(m manager) []oslorpc.Endpoint {
	return []oslorpc.Endpoint{rpcapi.SchedulerManager(m), rpcapi.BaseRPCAPI("nova-scheduler")}
}

// newFleet returns a fleet of services that have the errors of Nova registered.
func newFleet(t *testing.T, options ...oslorpc.TransportOption) *oslorpctest.Fleet {
	t.Helper()
	return oslorpctest.New(t, append(rpcapi.ErrorTypes(), options...)...)
}

func serve(f *oslorpctest.Fleet, topic, host string, endpoints []oslorpc.Endpoint) *oslorpctest.Server {
	return f.Serve(oslorpc.Target{Topic: topic, Server: host}, endpoints)
}

// attempts counts the messages that a transport sends, whether they are accepted or not. Fleets do
// not record refused messages.
type attempts struct{ atomic.Int32 }

func (a *attempts) option() oslorpc.TransportOption {
	return oslorpc.WithDialOptions(
		grpc.WithChainUnaryInterceptor(func(
			ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			a.Add(1)
			return invoke(ctx, method, req, reply, conn, options...)
		}),
		grpc.WithChainStreamInterceptor(func(
			ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, stream grpc.Streamer, options ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			a.Add(1)
			return stream(ctx, desc, conn, method, options...)
		}))
}

// logTo returns a logger that logs only errors.
func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}

// novaError returns the error of Nova in an error, or nil if there is none.
func novaError(err error) error {
	if e, ok := errors.AsType[*rpcapi.InstanceNotFound](err); ok {
		return e
	}
	if e, ok := errors.AsType[*rpcapi.NoValidHost](err); ok {
		return e
	}
	if e, ok := errors.AsType[*rpcapi.MigrationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*rpcapi.UnexpectedTaskState](err); ok {
		return e
	}
	return nil
}

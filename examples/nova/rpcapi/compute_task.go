package rpcapi

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// computeTaskNamespace is the namespace of the tasks of conductors.
const computeTaskNamespace = "compute_task"

// ComputeTaskAPI is the client side of the tasks that conductors see through: those that more than
// one host takes part in.
//
// API version history:
//
//	1.0 - Initial version
//	2.0 - Removed what had gathered for older callers: build_instances takes a request_spec, and nothing of what it replaced
type ComputeTaskAPI struct {
	client *oslorpc.Client
	config Config
}

// NewComputeTaskAPI returns the client side for the conductors on a transport.
func NewComputeTaskAPI(t *oslorpc.Transport, config Config) *ComputeTaskAPI {
	target := oslorpc.Target{Topic: ConductorTopic, Namespace: computeTaskNamespace, Version: "2.0"}
	return &ComputeTaskAPI{t.Client(target, config.computeTask()...), config}
}

// BuildInstances has instances built, each where there is room for it. When it returns nil, a
// conductor will see to it; what becomes of the instances is in their states.
func (a *ComputeTaskAPI) BuildInstances(ctx context.Context, instances []Instance, spec RequestSpec) error {
	return a.client.Cast(ctx, "build_instances", BuildInstancesArgs{Instances: instances, RequestSpec: spec})
}

// MigrateServer has an instance moved while it runs: to a host, or if that is empty to one where
// there is room. When it returns nil, the instance is about to move; a [NoValidHost] or a
// [MigrationError] says why it does not.
func (a *ComputeTaskAPI) MigrateServer(ctx context.Context, instance Instance, cell, host string) (Selection, error) {
	args := MigrateServerArgs{Instance: instance, SchedulerHint: SchedulerHint{Cell: cell, Host: host}, Live: true}
	return oslorpc.Call[Selection](ctx, a.client.Prepare(a.config.long()...), "migrate_server", args)
}

// The arguments of the methods of [ComputeTask].
type (
	// BuildInstancesArgs are the arguments of build_instances.
	BuildInstancesArgs struct {
		Instances   []Instance  `json:"instances"`
		RequestSpec RequestSpec `json:"request_spec"`
	}
	// MigrateServerArgs are the arguments of migrate_server.
	MigrateServerArgs struct {
		Instance      Instance      `json:"instance"`
		SchedulerHint SchedulerHint `json:"scheduler_hint"`
		Live          bool          `json:"live"`
	}
	// SchedulerHint says where an instance is, and on which host it should be; on any if that is
	// empty.
	SchedulerHint struct {
		Cell string `json:"cell"`
		Host string `json:"host"`
	}
)

// ComputeTask is the server side of [ComputeTaskAPI].
type ComputeTask interface {
	BuildInstances(ctx context.Context, args BuildInstancesArgs) error
	MigrateServer(ctx context.Context, args MigrateServerArgs) (Selection, error)
}

// ComputeTaskManager returns the endpoint of a conductor.
func ComputeTaskManager(manager ComputeTask) oslorpc.Endpoint {
	return oslorpc.Endpoint{Namespace: computeTaskNamespace, Version: "2.0", Struct: oslorpc.Methods(struct{ ComputeTask }{manager}).
		Expect("MigrateServer", oslorpc.ErrorType[*NoValidHost](), oslorpc.ErrorType[*MigrationError]())}
}

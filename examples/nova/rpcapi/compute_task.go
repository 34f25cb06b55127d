package rpcapi

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// computeTaskNamespace is the namespace of the conductors' tasks.
const computeTaskNamespace = "compute_task"

// ComputeTaskAPI is the client side of the conductors' tasks, which involve several hosts.
//
// API version history:
//
//	1.0 - Initial version
//	2.0 - Removed arguments for older callers: build_instances takes only a request_spec
type ComputeTaskAPI struct {
	client *oslorpc.Client
	config Config
}

// NewComputeTaskAPI returns the client side for the conductors on a transport.
func NewComputeTaskAPI(t *oslorpc.Transport, config Config) *ComputeTaskAPI {
	target := oslorpc.Target{Topic: ConductorTopic, Namespace: computeTaskNamespace, Version: "2.0"}
	return &ComputeTaskAPI{t.Client(target, config.computeTask()...), config}
}

// BuildInstances builds instances, each on a host with room for it. When it returns nil, a
// conductor has accepted the task; the states of the instances show the outcome.
func (a *ComputeTaskAPI) BuildInstances(ctx context.Context, instances []Instance, spec RequestSpec) error {
	return a.client.Cast(ctx, "build_instances", BuildInstancesArgs{Instances: instances, RequestSpec: spec})
}

// MigrateServer moves an instance while it runs, to a host or, if host is empty, to one with room
// for it. When it returns nil, the move has been started. A [NoValidHost] or a [MigrationError]
// says why it was not.
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
	// SchedulerHint says where an instance is, and on which host it should be; an empty host means
	// any.
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

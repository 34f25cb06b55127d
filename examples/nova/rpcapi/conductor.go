package rpcapi

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ConductorAPI is the client side of the conductor API. With it, services change the database,
// which they must not access directly.
//
// API version history:
//
//	3.0 - Initial version: methods of objects in place of those for each table
type ConductorAPI struct{ client *oslorpc.Client }

// NewConductorAPI returns the client side for the conductors on a transport.
func NewConductorAPI(t *oslorpc.Transport, config Config) *ConductorAPI {
	return &ConductorAPI{t.Client(oslorpc.Target{Topic: ConductorTopic, Version: "3.0"}, config.conductor()...)}
}

// Create adds an instance.
func (a *ConductorAPI) Create(ctx context.Context, instance Instance) error {
	_, err := a.objectAction(ctx, instance, "create", nil)
	return err
}

// Save changes an instance. An [InstanceNotFound] says that it was deleted.
func (a *ConductorAPI) Save(ctx context.Context, instance Instance) error {
	_, err := a.objectAction(ctx, instance, "save", nil)
	return err
}

// Begin begins a task with an instance that is in no task, and changes nothing else. It returns the
// instance's new state, which may differ from the caller's copy. An [UnexpectedTaskState] says that
// it is in a task already: of several callers, only one succeeds.
func (a *ConductorAPI) Begin(ctx context.Context, task string, instance Instance) (Instance, error) {
	instance.TaskState = task
	return a.objectAction(ctx, instance, "save", map[string]string{ExpectedTaskState: ""})
}

// SaveIf changes an instance that is in a task, and ends the task; or an instance that is in no
// task, if task is empty. Otherwise it returns an [UnexpectedTaskState].
func (a *ConductorAPI) SaveIf(ctx context.Context, task string, instance Instance) error {
	_, err := a.objectAction(ctx, instance, "save", map[string]string{ExpectedTaskState: task})
	return err
}

// Destroy removes an instance, if it exists.
func (a *ConductorAPI) Destroy(ctx context.Context, instance Instance) error {
	_, err := a.objectAction(ctx, instance, "destroy", nil)
	return err
}

// GetByUUID returns an instance.
func (a *ConductorAPI) GetByUUID(ctx context.Context, uuid string) (Instance, error) {
	return objectClassAction[Instance](ctx, a, "Instance", "get_by_uuid", uuid)
}

// GetByHost returns the instances on a host, in the order of their names.
func (a *ConductorAPI) GetByHost(ctx context.Context, host string) ([]Instance, error) {
	return objectClassAction[[]Instance](ctx, a, "InstanceList", "get_by_host", host)
}

// GetAll returns all instances, in the order of their names.
func (a *ConductorAPI) GetAll(ctx context.Context) ([]Instance, error) {
	return objectClassAction[[]Instance](ctx, a, "InstanceList", "get_all")
}

func (a *ConductorAPI) objectAction(ctx context.Context, instance Instance, method string, kwargs map[string]string) (Instance, error) {
	args := ObjectActionArgs{ObjInst: instance, ObjMethod: method, Args: []string{}, Kwargs: kwargs}
	return oslorpc.Call[Instance](ctx, a.client, "object_action", args)
}

func objectClassAction[R any](ctx context.Context, a *ConductorAPI, class, method string, arguments ...string) (R, error) {
	args := ObjectClassActionArgs{ObjName: class, ObjMethod: method, ObjectVersions: objectVersions, Args: append([]string{}, arguments...)}
	return oslorpc.Call[R](ctx, a.client, "object_class_action_versions", args)
}

// objectVersions are the versions of objects in this package. There is one of each, so a conductor
// has nothing to convert.
var objectVersions = map[string]string{"Instance": "1.0", "InstanceList": "1.0"}

// ExpectedTaskState is an argument of the method save of instances.
const ExpectedTaskState = "expected_task_state"

// The arguments of the methods of [Conductor].
type (
	// ObjectActionArgs are the arguments of object_action, which calls a method of an object.
	ObjectActionArgs struct {
		ObjInst   Instance          `json:"objinst"`
		ObjMethod string            `json:"objmethod"`
		Args      []string          `json:"args"`
		Kwargs    map[string]string `json:"kwargs"`
	}
	// ObjectClassActionArgs are the arguments of object_class_action_versions, which calls a method
	// of a class of objects.
	ObjectClassActionArgs struct {
		ObjName   string `json:"objname"`
		ObjMethod string `json:"objmethod"`
		// ObjectVersions are the versions of the objects in the answer that the caller knows.
		ObjectVersions map[string]string `json:"object_versions"`
		Args           []string          `json:"args"`
		Kwargs         map[string]string `json:"kwargs"`
	}
)

// Conductor is the server side of [ConductorAPI].
type Conductor interface {
	// ObjectAction returns the instance's new state.
	ObjectAction(ctx context.Context, args ObjectActionArgs) (Instance, error)
	ObjectClassActionVersions(ctx context.Context, args ObjectClassActionArgs) (any, error)
}

// ConductorManager returns the endpoint of a conductor.
func ConductorManager(manager Conductor) oslorpc.Endpoint {
	notFound := oslorpc.ErrorType[*InstanceNotFound]()
	return oslorpc.Endpoint{Version: "3.0", Struct: oslorpc.Methods(struct{ Conductor }{manager}).
		Expect("ObjectAction", notFound, oslorpc.ErrorType[*UnexpectedTaskState]()).
		Expect("ObjectClassActionVersions", notFound)}
}

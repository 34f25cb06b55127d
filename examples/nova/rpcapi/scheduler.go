package rpcapi

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// SchedulerAPI is the client side of the scheduler API.
//
// API version history:
//
//	4.0 - Initial version of the major one
//	4.2 - Added update_instance_info, delete_instance_info and sync_instance_info
//	4.5 - select_destinations returns a list of selections for each instance
type SchedulerAPI struct {
	client *oslorpc.Client
	config Config
}

// NewSchedulerAPI returns the client side for the schedulers on a transport.
func NewSchedulerAPI(t *oslorpc.Transport, config Config) *SchedulerAPI {
	return &SchedulerAPI{t.Client(oslorpc.Target{Topic: SchedulerTopic, Version: "4.0"}, config.scheduler()...), config}
}

// SelectDestinations finds hosts for instances. It returns a list for each, with the best host
// first. With alternates, the list has others for the case that the first one refuses the instance.
// A [NoValidHost] says why there is none.
func (a *SchedulerAPI) SelectDestinations(ctx context.Context, spec RequestSpec, uuids []string, alternates bool) ([][]Selection, error) {
	c := a.client.Prepare(a.config.long()...).Prepare(oslorpc.WithVersion("4.5"))
	args := SelectDestinationsArgs{SpecObj: spec, InstanceUUIDs: uuids, ReturnObjects: true, ReturnAlternates: alternates}
	return oslorpc.Call[[][]Selection](ctx, c, "select_destinations", args)
}

// UpdateInstanceInfo tells all schedulers about a new instance on a host.
func (a *SchedulerAPI) UpdateInstanceInfo(ctx context.Context, host string, instance Instance) error {
	return a.fanout(ctx, "update_instance_info", UpdateInfoArgs{HostName: host, InstanceInfo: instance})
}

// DeleteInstanceInfo tells all schedulers that an instance has left a host.
func (a *SchedulerAPI) DeleteInstanceInfo(ctx context.Context, host, uuid string) error {
	return a.fanout(ctx, "delete_instance_info", DeleteInfoArgs{HostName: host, InstanceUUID: uuid})
}

// SyncInstanceInfo tells all schedulers about all instances on a host. It is sent regularly.
func (a *SchedulerAPI) SyncInstanceInfo(ctx context.Context, host string, uuids []string) error {
	return a.fanout(ctx, "sync_instance_info", SyncInfoArgs{HostName: host, InstanceUUIDs: uuids})
}

// infoTimeout bounds how long a compute waits for schedulers. They regularly get everything anyway.
const infoTimeout = 5 * time.Second

func (a *SchedulerAPI) fanout(ctx context.Context, method string, args any) error {
	report, err := a.client.Prepare(oslorpc.WithVersion("4.2"), oslorpc.WithTimeout(infoTimeout)).Fanout(ctx, method, args)
	if err != nil {
		return err
	}
	return report.Err()
}

// The arguments of the methods of [Scheduler].
type (
	// SelectDestinationsArgs are the arguments of select_destinations.
	SelectDestinationsArgs struct {
		SpecObj          RequestSpec `json:"spec_obj"`
		InstanceUUIDs    []string    `json:"instance_uuids"`
		ReturnObjects    bool        `json:"return_objects"`
		ReturnAlternates bool        `json:"return_alternates"`
	}
	// UpdateInfoArgs are the arguments of update_instance_info.
	UpdateInfoArgs struct {
		HostName     string   `json:"host_name"`
		InstanceInfo Instance `json:"instance_info"`
	}
	// DeleteInfoArgs are the arguments of delete_instance_info.
	DeleteInfoArgs struct {
		HostName     string `json:"host_name"`
		InstanceUUID string `json:"instance_uuid"`
	}
	// SyncInfoArgs are the arguments of sync_instance_info.
	SyncInfoArgs struct {
		HostName      string   `json:"host_name"`
		InstanceUUIDs []string `json:"instance_uuids"`
	}
)

// Scheduler is the server side of [SchedulerAPI].
type Scheduler interface {
	SelectDestinations(ctx context.Context, args SelectDestinationsArgs) ([][]Selection, error)
	UpdateInstanceInfo(ctx context.Context, args UpdateInfoArgs) error
	DeleteInstanceInfo(ctx context.Context, args DeleteInfoArgs) error
	SyncInstanceInfo(ctx context.Context, args SyncInfoArgs) error
}

// SchedulerManager returns the endpoint of a scheduler.
func SchedulerManager(manager Scheduler) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "4.5", Struct: oslorpc.Methods(struct{ Scheduler }{manager}).
		Since("4.2", "UpdateInstanceInfo", "DeleteInstanceInfo", "SyncInstanceInfo").
		Expect("SelectDestinations", oslorpc.ErrorType[*NoValidHost]())}
}

package rpcapi

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ComputeAPI is the client side of the compute API. Each message is for one host.
//
// API version history:
//
//	5.0 - Initial version of the last major one
//	6.0 - Added accel_uuids to build_and_run_instance and rebuild_instance;
//	      resize_instance has flavor in place of instance_type, and request_spec;
//	      pre_live_migration has no block_migration, which is in its migrate_data
//	6.1 - Added reimage_boot_volume to rebuild_instance
//	6.2 - Added target_state to rebuild_instance, which only evacuations need
//	6.5 - Messages that continue work in progress go to the topic compute-alt
//
// In Nova, accel_uuids and request_spec came with versions from 5.2 on. 6.3 and 6.4 changed methods
// that are not here.
type ComputeAPI struct {
	client *oslorpc.Client
	config Config
}

// NewComputeAPI returns the client side for the computes on a transport.
func NewComputeAPI(t *oslorpc.Transport, config Config) *ComputeAPI {
	return &ComputeAPI{t.Client(oslorpc.Target{Topic: ComputeTopic, Version: "6.0"}, config.compute()...), config}
}

// BuildAndRunInstance builds an instance on a host. AccelUUIDs are nil if the instance has no
// accelerators. Computes before 6.0 do not know this argument.
func (a *ComputeAPI) BuildAndRunInstance(ctx context.Context, host string, instance Instance, spec RequestSpec, accelUUIDs []string) error {
	args := BuildArgs{Instance: instance, Image: instance.ImageRef, RequestSpec: spec}
	v6 := args
	v6.AccelUUIDs = oslorpc.Some(accelUUIDs)
	ladder := oslorpc.Variants{oslorpc.At("6.0", v6)}
	if len(accelUUIDs) == 0 {
		ladder = append(ladder, oslorpc.At("5.0", args))
	}
	return a.cast(ctx, host, "build_and_run_instance", ladder)
}

// TerminateInstance deletes an instance, on its host.
func (a *ComputeAPI) TerminateInstance(ctx context.Context, instance Instance) error {
	return a.cast(ctx, instance.Host, "terminate_instance", inEither(InstanceArgs{Instance: instance}))
}

// RebootInstance restarts an instance, on its host.
func (a *ComputeAPI) RebootInstance(ctx context.Context, instance Instance, rebootType string) error {
	return a.cast(ctx, instance.Host, "reboot_instance", inEither(RebootArgs{Instance: instance, RebootType: rebootType}))
}

// RebuildInstance builds an instance again from another image, on its host. With reimageBootVolume,
// it writes the image to the boot volume. A compute that knows neither that nor accelerators cannot
// provide them, so such a message is not sent to it.
func (a *ComputeAPI) RebuildInstance(ctx context.Context, instance Instance, image string, accelUUIDs []string, reimageBootVolume bool) error {
	v50 := RebuildArgs{Instance: instance, ImageRef: image}
	v60 := v50
	v60.AccelUUIDs = oslorpc.Some(accelUUIDs)
	v61 := v60
	v61.ReimageBootVolume = oslorpc.Some(reimageBootVolume)
	ladder := oslorpc.Variants{oslorpc.At("6.1", v61)}
	if !reimageBootVolume {
		ladder = append(ladder, oslorpc.At("6.0", v60))
		if len(accelUUIDs) == 0 {
			ladder = append(ladder, oslorpc.At("5.0", v50))
		}
	}
	return a.cast(ctx, instance.Host, "rebuild_instance", ladder)
}

// ResizeInstance changes the size of an instance, on its host. In Nova it is a step of a resize in
// progress.
func (a *ComputeAPI) ResizeInstance(ctx context.Context, instance Instance, flavor Flavor, spec RequestSpec) error {
	args := ResizeArgs{Instance: instance, Flavor: flavor, RequestSpec: spec}
	return a.castInProgress(ctx, instance.Host, "resize_instance", oslorpc.Variants{
		oslorpc.At("6.5", args), oslorpc.At("6.0", args), oslorpc.At("5.0", ResizeArgs5{Instance: instance, InstanceType: flavor}),
	})
}

// GetConsoleOutput returns the last lines of the console of an instance, or all lines if tail is 0.
func (a *ComputeAPI) GetConsoleOutput(ctx context.Context, instance Instance, tail int) (string, error) {
	args := ConsoleArgs{Instance: instance, TailLength: tail}
	return callCompute[string](ctx, a, instance.Host, "get_console_output", args)
}

// GetHostUptime returns for how long a host has been up, for people.
func (a *ComputeAPI) GetHostUptime(ctx context.Context, host string) (string, error) {
	return callCompute[string](ctx, a, host, "get_host_uptime", nil)
}

// SetHostEnabled allows or forbids new instances on a host, and returns the host's new state.
func (a *ComputeAPI) SetHostEnabled(ctx context.Context, host string, enabled bool) (string, error) {
	return callCompute[string](ctx, a, host, "set_host_enabled", EnabledArgs{Enabled: enabled}, a.config.long()...)
}

// CheckCanLiveMigrateDestination asks a host whether an instance can move to it. A [MigrationError]
// says why not.
func (a *ComputeAPI) CheckCanLiveMigrateDestination(ctx context.Context, instance Instance, dest string, blockMigration bool) error {
	args := MigrationArgs{Instance: instance, BlockMigration: blockMigration}
	_, err := callCompute[any](ctx, a, dest, "check_can_live_migrate_destination", args, a.config.long()...)
	return err
}

// LiveMigration moves an instance to another host while it runs. The message goes to its current
// host.
func (a *ComputeAPI) LiveMigration(ctx context.Context, instance Instance, dest string, blockMigration bool) error {
	args := LiveMigrationArgs{Instance: instance, Dest: dest, BlockMigration: blockMigration}
	return a.castInProgress(ctx, instance.Host, "live_migration", sinceV65(args))
}

// PreLiveMigration makes a host prepare for an arriving instance.
func (a *ComputeAPI) PreLiveMigration(ctx context.Context, instance Instance, dest string, blockMigration bool) error {
	args := PreLiveMigrationArgs{Instance: instance, MigrateData: MigrateData{BlockMigration: blockMigration}}
	return a.proceed(ctx, dest, "pre_live_migration", oslorpc.Variants{
		oslorpc.At("6.5", args), oslorpc.At("6.0", args), oslorpc.At("5.0", MigrationArgs{Instance: instance, BlockMigration: blockMigration}),
	})
}

// PostLiveMigrationAtDestination tells a host that an instance has arrived.
func (a *ComputeAPI) PostLiveMigrationAtDestination(ctx context.Context, instance Instance, dest string, blockMigration bool) error {
	args := MigrationArgs{Instance: instance, BlockMigration: blockMigration}
	return a.proceed(ctx, dest, "post_live_migration_at_destination", sinceV65(args))
}

// RollbackLiveMigrationAtDestination tells a host that an instance will not arrive.
func (a *ComputeAPI) RollbackLiveMigrationAtDestination(ctx context.Context, instance Instance, dest string) error {
	return a.castInProgress(ctx, dest, "rollback_live_migration_at_destination", sinceV65(InstanceArgs{Instance: instance}))
}

// castInProgress casts a message that continues work in progress.
func (a *ComputeAPI) castInProgress(ctx context.Context, host, method string, ladder oslorpc.Variants) error {
	c, err := a.inProgress(ctx, host)
	if err != nil {
		return err
	}
	return c.Cast(ctx, method, ladder)
}

// proceed calls a method that continues work in progress.
func (a *ComputeAPI) proceed(ctx context.Context, host, method string, ladder oslorpc.Variants) error {
	c, err := a.inProgress(ctx, host)
	if err != nil {
		return err
	}
	_, err = oslorpc.Call[any](ctx, c.Prepare(a.config.long()...), method, ladder)
	return err
}

// inProgress returns the client for messages that continue work in progress on a host. If the host
// serves [ComputeAltTopic], it is a client for that topic, which a stopping host serves until its
// work is done. A variant cannot choose the topic, so inProgress chooses it before the message is
// sent. It asks for the versions on ComputeAltTopic, because a stopping host has already left
// [ComputeTopic]. The upgrade level applies to both topics.
func (a *ComputeAPI) inProgress(ctx context.Context, host string) (*oslorpc.Client, error) {
	if host == "" {
		return nil, ErrNoHost
	}
	c := a.client.Prepare(oslorpc.WithServer(host))
	alt := c.Prepare(oslorpc.WithTopic(ComputeAltTopic))
	served, err := alt.Prepare(oslorpc.WithVersionCap(oslorpc.AutoCap)).CanSendVersionOf(ctx, "6.5")
	if err != nil || !served {
		return c, err
	}
	if allowed, err := alt.CanSendVersionOf(ctx, "6.5"); err != nil || !allowed {
		return c, err
	}
	return alt, nil
}

// inEither is a message that is the same in both major versions.
func inEither(args any) oslorpc.Variants {
	return oslorpc.Variants{oslorpc.At("6.0", args), oslorpc.At("5.0", args)}
}

// sinceV65 is a message that is the same in both major versions, and since 6.5 may use the topic
// for work in progress.
func sinceV65(args any) oslorpc.Variants {
	return append(oslorpc.Variants{oslorpc.At("6.5", args)}, inEither(args)...)
}

func (a *ComputeAPI) cast(ctx context.Context, host, method string, ladder oslorpc.Variants) error {
	if host == "" {
		return ErrNoHost
	}
	return a.client.Prepare(oslorpc.WithServer(host)).Cast(ctx, method, ladder)
}

func callCompute[R any](
	ctx context.Context, a *ComputeAPI, host, method string, args any, options ...oslorpc.ClientOption,
) (result R, err error) {
	if host == "" {
		return result, ErrNoHost
	}
	return oslorpc.Call[R](ctx, a.client.Prepare(oslorpc.WithServer(host)).Prepare(options...), method, inEither(args))
}

// The arguments of the methods of [Compute].
type (
	// BuildArgs are the arguments of build_and_run_instance.
	BuildArgs struct {
		Instance    Instance    `json:"instance"`
		Image       string      `json:"image"`
		RequestSpec RequestSpec `json:"request_spec"`
		// AccelUUIDs exists since 6.0.
		AccelUUIDs oslorpc.Opt[[]string] `json:"accel_uuids"`
	}
	// InstanceArgs are the arguments of methods that only need an instance.
	InstanceArgs struct {
		Instance Instance `json:"instance"`
		// BDMs are the volumes of the instance. Nova sends them, but this example has none.
		BDMs oslorpc.Opt[any] `json:"bdms"`
	}
	// RebootArgs are the arguments of reboot_instance.
	RebootArgs struct {
		Instance   Instance `json:"instance"`
		RebootType string   `json:"reboot_type"`
		// BlockDeviceInfo is also sent by Nova only.
		BlockDeviceInfo oslorpc.Opt[any] `json:"block_device_info"`
	}
	// RebuildArgs are the arguments of rebuild_instance.
	RebuildArgs struct {
		Instance Instance `json:"instance"`
		ImageRef string   `json:"image_ref"`
		// AccelUUIDs exists since 6.0, and ReimageBootVolume since 6.1.
		AccelUUIDs        oslorpc.Opt[[]string] `json:"accel_uuids"`
		ReimageBootVolume oslorpc.Opt[bool]     `json:"reimage_boot_volume"`
	}
	// ResizeArgs are the arguments of resize_instance.
	ResizeArgs struct {
		Instance    Instance    `json:"instance"`
		Flavor      Flavor      `json:"flavor"`
		RequestSpec RequestSpec `json:"request_spec"`
	}
	// ResizeArgs5 are the arguments of resize_instance before 6.0.
	ResizeArgs5 struct {
		Instance     Instance `json:"instance"`
		InstanceType Flavor   `json:"instance_type"`
	}
	// ConsoleArgs are the arguments of get_console_output.
	ConsoleArgs struct {
		Instance   Instance `json:"instance"`
		TailLength int      `json:"tail_length"`
	}
	// EnabledArgs are the arguments of set_host_enabled.
	EnabledArgs struct {
		Enabled bool `json:"enabled"`
	}
	// MigrationArgs are the arguments of methods on the destination of a migration.
	MigrationArgs struct {
		Instance       Instance `json:"instance"`
		BlockMigration bool     `json:"block_migration"`
	}
	// PreLiveMigrationArgs are the arguments of pre_live_migration since 6.0.
	PreLiveMigrationArgs struct {
		Instance    Instance    `json:"instance"`
		MigrateData MigrateData `json:"migrate_data"`
	}
	// MigrateData is the data about a migration that both hosts know.
	MigrateData struct {
		BlockMigration bool `json:"block_migration"`
		oslorpc.Extra
	}
	// LiveMigrationArgs are the arguments of live_migration.
	LiveMigrationArgs struct {
		Instance       Instance `json:"instance"`
		Dest           string   `json:"dest"`
		BlockMigration bool     `json:"block_migration"`
	}
)

// Compute is the server side of [ComputeAPI].
type Compute interface {
	BuildAndRunInstance(ctx context.Context, args BuildArgs) error
	TerminateInstance(ctx context.Context, args InstanceArgs) error
	RebootInstance(ctx context.Context, args RebootArgs) error
	RebuildInstance(ctx context.Context, args RebuildArgs) error
	ResizeInstance(ctx context.Context, args ResizeArgs) error
	GetConsoleOutput(ctx context.Context, args ConsoleArgs) (string, error)
	GetHostUptime(ctx context.Context) (string, error)
	SetHostEnabled(ctx context.Context, args EnabledArgs) (string, error)
	CheckCanLiveMigrateDestination(ctx context.Context, args MigrationArgs) error
	LiveMigration(ctx context.Context, args LiveMigrationArgs) error
	PreLiveMigration(ctx context.Context, args PreLiveMigrationArgs) error
	PostLiveMigrationAtDestination(ctx context.Context, args MigrationArgs) error
	RollbackLiveMigrationAtDestination(ctx context.Context, args InstanceArgs) error
}

// ComputeManager returns the endpoint of a compute.
func ComputeManager(manager Compute) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "6.5", Struct: computeMethods(manager)}
}

func computeMethods(manager Compute) oslorpc.StructMethods {
	return oslorpc.Methods(struct{ Compute }{manager}).
		Expect("CheckCanLiveMigrateDestination", oslorpc.ErrorType[*MigrationError]()).
		Expect("GetConsoleOutput", oslorpc.ErrorType[*InstanceNotFound]())
}

// ComputeV5Proxy returns the endpoint for the previous major version, for callers that are not
// upgraded yet. Its methods are the manager's, except two with other arguments.
func ComputeV5Proxy(manager Compute) oslorpc.Endpoint {
	resize := oslorpc.Func(func(ctx context.Context, args ResizeArgs5) (any, error) {
		return nil, manager.ResizeInstance(ctx, ResizeArgs{
			Instance: args.Instance, Flavor: args.InstanceType, RequestSpec: RequestSpec{Flavor: args.InstanceType},
		})
	})
	preLiveMigration := oslorpc.Func(func(ctx context.Context, args MigrationArgs) (any, error) {
		return nil, manager.PreLiveMigration(ctx, PreLiveMigrationArgs{
			Instance: args.Instance, MigrateData: MigrateData{BlockMigration: args.BlockMigration},
		})
	})
	return oslorpc.Endpoint{
		Version: "5.13", Deprecated: "5.13",
		Struct:  computeMethods(manager).Omit("ResizeInstance", "PreLiveMigration"),
		Methods: map[string]oslorpc.Method{"resize_instance": resize, "pre_live_migration": preLiveMigration},
	}
}

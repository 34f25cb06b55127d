package rpcapi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// hung makes servers accept connections and keep them alive without answering anything, not even
// with heartbeats.
func hung() oslorpc.TransportOption {
	return oslorpc.WithServerOptions(
		grpc.ChainUnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		grpc.ChainStreamInterceptor(func(_ any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			<-stream.Context().Done()
			return stream.Context().Err()
		}))
}

// TestTimeouts checks how long calls take to servers that work, hang, or are cut off.
func TestTimeouts(t *testing.T) {
	const (
		works = iota // for ten minutes
		hangs
		cutOff // while it works
		held   // its queue is alive
	)
	const tenMinutes = 10 * time.Minute
	config := func(response, long time.Duration) rpcapi.Config {
		return rpcapi.Config{ResponseTimeout: response, LongTimeout: long}
	}
	long := []string{
		"select_destinations", "migrate_server", "check_can_live_migrate_destination", "set_host_enabled",
		"pre_live_migration", "post_live_migration_at_destination",
	}
	short := []string{"get_console_output", "get_host_uptime", "object_action", "object_class_action_versions"}
	casts := []string{"terminate_instance", "build_instances", "rollback_live_migration_at_destination"}
	for name, c := range map[string]struct {
		methods []string
		config  rpcapi.Config
		server  int
		want    oslorpc.Kind // 0: no error
		took    time.Duration
	}{
		"long work":                    {long, rpcapi.Config{}, works, 0, tenMinutes},
		"work that takes too long":     {long, config(0, 5*time.Minute), works, oslorpc.Timeout, 5 * time.Minute},
		"long work at no server":       {long, rpcapi.Config{}, hangs, oslorpc.MonitorTimeout, time.Minute},
		"long work that waits":         {long, rpcapi.Config{}, held, oslorpc.Timeout, 30 * time.Minute},
		"a long timeout that is short": {long, config(0, time.Minute), hangs, oslorpc.Timeout, time.Minute},
		"short work":                   {short, rpcapi.Config{}, works, oslorpc.Timeout, time.Minute},
		"short work with less time":    {short, config(20*time.Second, 0), works, oslorpc.Timeout, 20 * time.Second},
		"short work at no server":      {short, rpcapi.Config{}, hangs, oslorpc.Timeout, time.Minute},
		// A call with a timeout of a minute needs no heartbeats. A call with a longer timeout does.
		"patience for work":                  {short, config(11*time.Minute, 0), works, 0, tenMinutes},
		"patience with no server":            {short, config(11*time.Minute, 0), hangs, oslorpc.MonitorTimeout, time.Minute},
		"impatience with no server":          {short, config(time.Minute, 0), hangs, oslorpc.Timeout, time.Minute},
		"a cast to no server":                {casts, rpcapi.Config{}, hangs, oslorpc.Timeout, time.Minute},
		"a cast to no server with less time": {casts, config(20*time.Second, 0), hangs, oslorpc.Timeout, 20 * time.Second},
		"long work that is lost":             {long, rpcapi.Config{}, cutOff, oslorpc.OutcomeUnknown, 0},
		"short work that is lost":            {short, rpcapi.Config{}, cutOff, oslorpc.OutcomeUnknown, 0},
	} {
		for _, method := range c.methods {
			t.Run(name+"/"+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var options []oslorpc.TransportOption
					if c.server == hangs {
						options = append(options, hung())
					}
					f := newFleet(t, options...)
					servers := serveAll(f)
					for _, s := range servers {
						s.SlowDown(tenMinutes)
						if c.server == held {
							s.Hold()
						}
					}
					if c.server == cutOff {
						go func() {
							f.Await(1)
							for _, s := range servers {
								s.Partition()
							}
						}()
					}
					began := time.Now()
					err := callFor(f.Transport(), c.config, method)(t.Context())
					took := time.Since(began)
					if (err == nil) != (c.want == 0) || oslorpc.KindOf(err) != c.want {
						t.Errorf("got %v", err)
					}
					// Keepalives detect a server that is cut off within half a minute.
					if c.took != 0 && took != c.took || c.took == 0 && took > 30*time.Second {
						t.Errorf("it took %v", took)
					}
					if messages := f.Messages(oslorpctest.For(method)); len(messages) > 1 || c.server != hangs && len(messages) == 0 {
						t.Errorf("the messages are %v", messages)
					}
				})
			})
		}
	}
}

// serveAll serves all topics.
func serveAll(f *oslorpctest.Fleet) []*oslorpctest.Server {
	m := manager{}
	return []*oslorpctest.Server{
		serve(f, "compute", "node2", compute(m, "6.5")), serve(f, "compute-alt", "node2", compute(m, "6.5")),
		serve(f, "conductor", "ctl", conductor(m)), serve(f, "scheduler", "ctl", scheduler(m)),
	}
}

// callFor returns a function that calls a method by its name on the wire.
func callFor(t *oslorpc.Transport, config rpcapi.Config, method string) func(context.Context) error {
	computes, conductors := rpcapi.NewComputeAPI(t, config), rpcapi.NewConductorAPI(t, config)
	tasks, schedulers := rpcapi.NewComputeTaskAPI(t, config), rpcapi.NewSchedulerAPI(t, config)
	return map[string]func(context.Context) error{
		"get_console_output":           func(ctx context.Context) error { return only(computes.GetConsoleOutput(ctx, web, 0)) },
		"get_host_uptime":              func(ctx context.Context) error { return only(computes.GetHostUptime(ctx, "node2")) },
		"set_host_enabled":             func(ctx context.Context) error { return only(computes.SetHostEnabled(ctx, "node2", true)) },
		"object_action":                func(ctx context.Context) error { return conductors.Save(ctx, web) },
		"object_class_action_versions": func(ctx context.Context) error { return only(conductors.GetByUUID(ctx, "u")) },
		"terminate_instance":           func(ctx context.Context) error { return computes.TerminateInstance(ctx, web) },
		"build_instances":              func(ctx context.Context) error { return tasks.BuildInstances(ctx, []rpcapi.Instance{web}, spec) },
		"rollback_live_migration_at_destination": func(ctx context.Context) error {
			return computes.RollbackLiveMigrationAtDestination(ctx, web, "node2")
		},
		"migrate_server": func(ctx context.Context) error { return only(tasks.MigrateServer(ctx, web, "c", "")) },
		"select_destinations": func(ctx context.Context) error {
			return only(schedulers.SelectDestinations(ctx, spec, []string{"u"}, false))
		},
		"check_can_live_migrate_destination": func(ctx context.Context) error {
			return computes.CheckCanLiveMigrateDestination(ctx, web, "node2", false)
		},
		"pre_live_migration": func(ctx context.Context) error { return computes.PreLiveMigration(ctx, web, "node2", false) },
		"post_live_migration_at_destination": func(ctx context.Context) error {
			return computes.PostLiveMigrationAtDestination(ctx, web, "node2", false)
		},
	}[method]
}

// only drops the result.
func only[R any](_ R, err error) error { return err }

// A compute that reports its instances does not wait long for a scheduler that is cut off, and gets
// an error. An old scheduler is skipped.
func TestSchedulersAreToldSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		first := serve(f, "scheduler", "ctl1", scheduler(manager{}))
		serve(f, "scheduler", "ctl2", scheduler(manager{}))
		old := rpcapi.SchedulerManager(manager{})
		old.Version = "4.1"
		old.Struct = old.Struct.Omit("UpdateInstanceInfo", "DeleteInstanceInfo", "SyncInstanceInfo")
		serve(f, "scheduler", "ctl3", []oslorpc.Endpoint{old})
		a := rpcapi.NewSchedulerAPI(f.Transport(), rpcapi.Config{})
		if err := a.SyncInstanceInfo(t.Context(), "node2", []string{"u"}); err != nil {
			t.Error(err)
		}
		first.Partition()
		began := time.Now()
		err := a.SyncInstanceInfo(t.Context(), "node2", []string{"u"})
		if took := time.Since(began); err == nil || took > 5*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if got := f.Messages(oslorpctest.At("ctl2")); len(got) != 2 {
			t.Errorf("the other one got %v", got)
		}
	})
}

// Nova-compute is the agent of a small Nova on a compute host: it runs the instances there. It
// starts no virtual machines: it prints what it would do. See the README in the parent directory.
//
//	go run ./examples/nova/nova-compute --host compute1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/examples/nova/service"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func main() {
	var o options
	flag.StringVar(&o.release, "release", current, "which `release` of Nova to be, of "+releaseNames())
	flag.DurationVar(&o.migrationTime, "migration-time", time.Second, "how long the memory of an instance takes to move")
	flag.DurationVar(&o.syncInterval, "sync-interval", time.Minute, "how often schedulers are told of all instances, and tasks are looked at that nothing is done about")
	flag.DurationVar(&o.shutdownTimeout, "graceful-shutdown-timeout", 3*time.Minute, "how long work in progress may take after the end was asked for")
	service.Main("nova-compute", func(ctx context.Context, s *service.Service) error { return run(ctx, s, o) })
}

// options are the flags of this program.
type options struct {
	release         string
	migrationTime   time.Duration
	syncInterval    time.Duration
	shutdownTimeout time.Duration
}

// run runs the compute until ctx ends:
//
//   - It starts its servers before it is ready, but held: messages wait in their queues.
//   - It waits for a conductor, and reads which instances belong to the host.
//   - It runs the waiting messages, and later ones.
//   - When it is stopped, it accepts no new work and finishes its tasks. Meanwhile it still accepts
//     messages that continue these tasks.
func run(ctx context.Context, s *service.Service, o options) error {
	release, ok := releases[o.release]
	switch {
	case !ok:
		return fmt.Errorf("there is no release %q; known releases: %s", o.release, releaseNames())
	case o.migrationTime < 0 || o.syncInterval <= 0 || o.shutdownTimeout <= 0:
		return errors.New("--sync-interval and --graceful-shutdown-timeout must be positive, and --migration-time not negative")
	}
	t := s.Cells.Own().Transport
	server := t.Server(oslorpc.Target{Topic: rpcapi.ComputeTopic, Server: s.Host}, oslorpc.WithHold())
	m := newManager(s, o, server)
	server.Add(release.endpoints(m)...)
	server.Add(rpcapi.BaseRPCAPI("compute"))
	servers := []*oslorpc.Server{server}
	if release.alt {
		alt := t.Server(oslorpc.Target{Topic: rpcapi.ComputeAltTopic, Server: s.Host}, oslorpc.WithHold())
		alt.Add(release.endpoints(m)...)
		servers = append(servers, alt)
	}
	for _, server := range servers {
		if err := server.Start(ctx); err != nil {
			return service.Ended(ctx, err)
		}
	}
	err := m.begin(ctx, servers)
	if err == nil {
		s.Sayf("nova-compute of %s is ready, with %d instances", o.release, len(m.guests.uuids()))
		m.syncOften(ctx)
	}
	return errors.Join(service.Ended(ctx, err), stop(ctx, m, servers))
}

// begin waits for a conductor, takes over the instances of the host, and releases the servers.
func (m *manager) begin(ctx context.Context, servers []*oslorpc.Server) error {
	base := rpcapi.NewBaseAPI(m.cell.Transport, rpcapi.ConductorTopic)
	err := base.WaitUntilReady(ctx, func(error) { m.Sayf("waits for nova-conductor") })
	if err != nil {
		return err
	}
	if err := m.initHost(ctx); err != nil {
		return err
	}
	for _, server := range servers {
		if err := server.Release(ctx); err != nil {
			slog.WarnContext(ctx, "other services still see the compute as held", "error", err)
		}
	}
	return nil
}

// syncOften regularly reports all instances to schedulers, and ends tasks whose messages were lost,
// until ctx ends.
func (m *manager) syncOften(ctx context.Context) {
	tick := time.NewTicker(m.syncInterval)
	defer tick.Stop()
	for {
		m.sync(ctx)
		m.endLostTasks(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stop stops the servers one after the other. The main one accepts no new work and finishes its
// tasks. Until that is done, and until instances that are moving here have arrived, the second one
// stays reachable.
func stop(ctx context.Context, m *manager, servers []*oslorpc.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.shutdownTimeout)
	defer cancel()
	failures := []error{servers[0].Stop(ctx)}
	for _, server := range servers[1:] { // an older release has none
		m.awaitArrivals(ctx)
		failures = append(failures, server.Stop(ctx))
	}
	return errors.Join(failures...)
}

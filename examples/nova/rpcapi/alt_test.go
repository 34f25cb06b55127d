package rpcapi_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// Messages that continue a migration use the topic for work in progress, if the host serves it and
// the upgrade level allows it.
func TestWorkInProgress(t *testing.T) {
	const alt, v6, v5 = "compute-alt 6.5", "compute 6.0", "compute 5.0"
	const gone, old = "NoInstance", "UnsupportedVersion"
	for _, c := range []struct{ level, gazpacho, leaving, flamingo, zed, queens string }{
		{"", alt, alt, v6, v6, v5},
		{"auto", alt, alt, v6, v6, v5},
		{"none", alt, alt, v6, v6, v5},
		{"6.5", alt, alt, v6, v6, old},
		{"gazpacho", alt, alt, v6, v6, old},
		{"6.4", v6, gone, v6, v6, old},
		{"flamingo", v6, gone, v6, v6, old},
		{"zed", v6, gone, v6, v6, old},
		{"5.0", v5, gone, v5, v5, v5},
		{"queens", v5, gone, v5, v5, v5},
	} {
		t.Run("at level "+c.level, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // who has just left is waited for
				f := newFleet(t)
				a := rpcapi.NewComputeAPI(f.Transport(), rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: c.level}})
				serveReleases(t, f, a)
				for host, want := range map[string]string{
					"gazpacho": c.gazpacho, "leaving": c.leaving, "flamingo": c.flamingo, "zed": c.zed, "queens": c.queens,
				} {
					for method, got := range goOn(t, f, a, host) {
						if got != want {
							t.Errorf("%s of %s came to %s, want %s", method, host, got, want)
						}
					}
				}
			})
		})
	}
}

// serveReleases serves hosts of several releases. The host that drains accepts no new work.
func serveReleases(t *testing.T, f *oslorpctest.Fleet, a *rpcapi.ComputeAPI) {
	t.Helper()
	for host, version := range map[string]string{"gazpacho": "6.5", "flamingo": "6.4", "zed": "6.1", "queens": "5.0"} {
		serve(f, "compute", host, compute(manager{}, version))
	}
	serve(f, "compute-alt", "gazpacho", compute(manager{}, "6.5"))
	// The topic was added in 6.5. Whatever an older host serves on this topic, it does not get
	// these messages.
	serve(f, "compute-alt", "flamingo", compute(manager{}, "6.4"))
	main := serve(f, "compute", "leaving", compute(manager{}, "6.5"))
	serve(f, "compute-alt", "leaving", compute(manager{}, "6.5"))
	if err := a.PreLiveMigration(t.Context(), web, "leaving", false); err != nil {
		t.Error(err)
	}
	main.Stop()
	if err := a.TerminateInstance(t.Context(), on("leaving")); !oslorpc.IsNotDelivered(err) {
		t.Errorf("new work for a host that left: %v", err)
	}
}

// goOn continues a migration to a host. For each method it returns the topic and the version of the
// message, or the kind of the error.
func goOn(t *testing.T, f *oslorpctest.Fleet, a *rpcapi.ComputeAPI, host string) map[string]string {
	t.Helper()
	went := map[string]string{}
	for method, send := range map[string]func(context.Context) error{
		"live_migration":     func(ctx context.Context) error { return a.LiveMigration(ctx, on(host), "elsewhere", true) },
		"resize_instance":    func(ctx context.Context) error { return a.ResizeInstance(ctx, on(host), small, spec) },
		"pre_live_migration": func(ctx context.Context) error { return a.PreLiveMigration(ctx, web, host, true) },
		"post_live_migration_at_destination": func(ctx context.Context) error {
			return a.PostLiveMigrationAtDestination(ctx, web, host, true)
		},
		"rollback_live_migration_at_destination": func(ctx context.Context) error {
			return a.RollbackLiveMigrationAtDestination(ctx, web, host)
		},
	} {
		before := len(f.Messages())
		err := send(t.Context())
		messages := f.Messages()[before:]
		switch {
		case err != nil && len(messages) == 0:
			went[method] = oslorpc.KindOf(err).Name()
		case err == nil && len(messages) == 1 && messages[0].Server == host && messages[0].Method == method:
			went[method] = fmt.Sprint(messages[0].Topic, " ", messages[0].Version)
		default:
			t.Errorf("%s of %s: %v, %v", method, host, err, messages)
		}
	}
	return went
}

package rpcapi_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// What goes on with a migration goes to the topic for that where there is one and the upgrade level lets it.
func TestWorkInProgress(t *testing.T) {
	const alt, v6, v5, gone = "compute-alt 6.5", "compute 6.0", "compute 5.0", "NoInstance"
	for _, c := range []struct {
		level                                    string
		gazpacho, leaving, flamingo, zed, queens string
	}{
		{"", alt, alt, v6, v6, v5},
		{"auto", alt, alt, v6, v6, v5},
		{"none", alt, alt, v6, v6, v5},
		{"6.5", alt, alt, v6, v6, "UnsupportedVersion"},
		{"gazpacho", alt, alt, v6, v6, "UnsupportedVersion"},
		{"6.4", v6, gone, v6, v6, "UnsupportedVersion"},
		{"flamingo", v6, gone, v6, v6, "UnsupportedVersion"},
		{"zed", v6, gone, v6, v6, "UnsupportedVersion"},
		{"5.0", v5, gone, v5, v5, v5},
		{"queens", v5, gone, v5, v5, v5},
	} {
		t.Run("at level "+c.level, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // who has just left is waited for
				f := newFleet(t)
				for host, version := range map[string]string{"gazpacho": "6.5", "flamingo": "6.4", "zed": "6.1", "queens": "5.0"} {
					serve(f, "compute", host, compute(manager{name: host}, version))
				}
				serve(f, "compute-alt", "gazpacho", compute(manager{}, "6.5"))
				// Work that a host of 6.4 might take there is none of the topic's.
				serve(f, "compute-alt", "flamingo", compute(manager{}, "6.4"))
				main := serve(f, "compute", "leaving", compute(manager{}, "6.5"))
				serve(f, "compute-alt", "leaving", compute(manager{}, "6.5"))
				config := rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: c.level}}
				a := rpcapi.NewComputeAPI(f.Transport(), config)
				if err := a.PreLiveMigration(t.Context(), web, "leaving", false); err != nil {
					t.Error(err)
				}
				main.Stop()
				if err := a.TerminateInstance(t.Context(), on("leaving")); !oslorpc.IsNotDelivered(err) {
					t.Errorf("new work for a host that left: %v", err)
				}

				for host, want := range map[string]string{
					"gazpacho": c.gazpacho, "leaving": c.leaving, "flamingo": c.flamingo, "zed": c.zed, "queens": c.queens,
				} {
					for method, send := range map[string]func(context.Context) error{
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
						got := oslorpc.KindOf(err).Name()
						if messages := f.Messages()[before:]; err == nil && len(messages) == 1 {
							m := messages[0]
							got = fmt.Sprint(m.Topic, " ", m.Version)
							if m.Server != host || m.Method != method {
								t.Errorf("the message is %+v", m)
							}
						}
						if got != want {
							t.Errorf("%s for %s: %s, %v; want %s", method, host, got, err, want)
						}
					}
				}
			})
		})
	}
}

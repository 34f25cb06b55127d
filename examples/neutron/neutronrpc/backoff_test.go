package neutronrpc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// The backoff applies to all calls of an agent except for calls about reports: they wait longer for
// a busy server.
func TestAgentsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "q-plugin", neutronrpc.DhcpRPCCallback(fakeDhcp{}))
		reports := f.Serve(oslorpc.Target{Topic: "q-reports-plugin", Server: "net1"},
			[]oslorpc.Endpoint{neutronrpc.AgentExtRPCCallback(fakeReports{})})
		for _, name := range []string{"net1", "net2"} {
			f.Server(name).Hold()
		}
		reports.Hold()
		const interval = neutronrpc.DefaultReportInterval
		b := &oslorpc.Backoff{}
		plugin := neutronrpc.NewDhcpPluginAPI(f.Transport(), "net1", oslorpc.WithBackoff(b))
		report := neutronrpc.NewPluginReportStateAPI(f.Transport(), interval, oslorpc.WithBackoff(b))
		for _, c := range []struct {
			method   string
			call     func(context.Context) error
			timeouts []time.Duration
		}{
			{"get_network_info", func(ctx context.Context) error { return only(plugin.GetNetworkInfo(ctx, "n")) },
				[]time.Duration{60 * time.Second, 120 * time.Second, 240 * time.Second}},
			{"report_state", func(ctx context.Context) error { return only(report.ReportState(ctx, neutronrpc.AgentState{})) },
				[]time.Duration{60 * time.Second, 60 * time.Second}},
			{"get_agents", func(ctx context.Context) error { return only(report.GetAgents(ctx, nil)) },
				[]time.Duration{60 * time.Second, 60 * time.Second}},
		} {
			for i, want := range c.timeouts {
				if got := b.Timeout("", c.method); got != want {
					t.Errorf("before call %d of %s its timeout is %v, not %v", i, c.method, got, want)
				}
				began := time.Now()
				err := c.call(t.Context())
				took := time.Since(began)
				if oslorpc.KindOf(err) != oslorpc.Timeout {
					t.Errorf("call %d of %s: %v", i, c.method, err)
				}
				if patient := c.method == "get_network_info"; patient && took < want || !patient && took != interval {
					t.Errorf("call %d of %s took %v", i, c.method, took)
				}
			}
		}
	})
}

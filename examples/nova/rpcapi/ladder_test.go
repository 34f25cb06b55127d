package rpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// These are the computes of four releases. The first is older than the last major version.
var (
	hosts    = []string{"queens", "wallaby", "zed", "gazpacho"}
	versions = map[string]string{"queens": "5.0", "wallaby": "6.0", "zed": "6.1", "gazpacho": "6.5"}
)

// on returns the instance with a host.
func on(host string) rpcapi.Instance {
	i := web
	i.Host = host
	return i
}

// TestComputeLadder checks what is sent to computes of each release, alone and mixed.
func TestComputeLadder(t *testing.T) {
	type api = *rpcapi.ComputeAPI
	const newest = `"accel_uuids":["a"],"reimage_boot_volume":true`
	// The columns are the hosts. A refusal comes either from the compute or from the upgrade level.
	const no, capped = "UnsupportedVersion", "VersionCapExceeded"
	rebuild := map[string]string{
		"5.0": `{"instance":$web,"image_ref":"debian"}`,
		"6.0": `{"instance":$web,"image_ref":"debian","accel_uuids":[]}`,
		"6.1": `{"instance":$web,"image_ref":"debian","accel_uuids":[],"reimage_boot_volume":false}`,
	}
	// either contains the messages that have a form in each major version, whatever the minor
	// version.
	either := map[string][]string{
		"": {"5.0", "6.0", "6.0", "6.0"}, "auto": {"5.0", "6.0", "6.0", "6.0"}, "none": {"5.0", "6.0", "6.0", "6.0"},
		"5.0": {"5.0", "5.0", "5.0", "5.0"}, "5.12": {"5.0", "5.0", "5.0", "5.0"}, "queens": {"5.0", "5.0", "5.0", "5.0"},
		"6.0": {no, "6.0", "6.0", "6.0"}, "zed": {no, "6.0", "6.0", "6.0"}, "6.5": {no, "6.0", "6.0", "6.0"},
	}
	// going lists the messages that continue work in progress.
	going := map[string][]string{
		"": {"5.0", "6.0", "6.0", "6.5"}, "auto": {"5.0", "6.0", "6.0", "6.5"}, "none": {"5.0", "6.0", "6.0", "6.5"},
		"5.0": {"5.0", "5.0", "5.0", "5.0"}, "queens": {"5.0", "5.0", "5.0", "5.0"},
		"6.0": {no, "6.0", "6.0", "6.0"}, "zed": {no, "6.0", "6.0", "6.0"}, "6.5": {no, "6.0", "6.0", "6.5"},
	}
	// only6 contains messages that exist only since 6.0, and only61 those that exist since 6.1.
	only6 := map[string][]string{
		"": {no, "6.0", "6.0", "6.0"}, "none": {no, "6.0", "6.0", "6.0"},
		"5.0": {capped, capped, capped, capped}, "ussuri": {capped, capped, capped, capped}, "wallaby": {no, "6.0", "6.0", "6.0"}, "6.5": {no, "6.0", "6.0", "6.0"},
	}
	only61 := map[string][]string{
		"": {no, no, "6.1", "6.1"}, "none": {no, no, "6.1", "6.1"}, "5.0": {capped, capped, capped, capped}, "6.0": {capped, capped, capped, capped},
		"yoga": {capped, capped, capped, capped}, "6.1": {no, no, "6.1", "6.1"}, "gazpacho": {no, no, "6.1", "6.1"},
	}
	for _, c := range []struct {
		name string
		send func(ctx context.Context, a api, host string) error
		// forms has the arguments for each version. want has the version that is sent at each
		// upgrade level.
		forms map[string]string
		want  map[string][]string
	}{
		{"build", func(ctx context.Context, a api, host string) error {
			return a.BuildAndRunInstance(ctx, host, on(host), spec, nil)
		}, map[string]string{
			"5.0": `{"instance":$web,"image":"cirros","request_spec":$spec}`,
			"6.0": `{"instance":$web,"image":"cirros","request_spec":$spec,"accel_uuids":[]}`,
		}, either},
		{"build with accelerators", func(ctx context.Context, a api, host string) error {
			return a.BuildAndRunInstance(ctx, host, on(host), spec, []string{"a"})
		}, map[string]string{"6.0": `{"instance":$web,"image":"cirros","request_spec":$spec,"accel_uuids":["a"]}`}, only6},
		{"rebuild", func(ctx context.Context, a api, host string) error {
			return a.RebuildInstance(ctx, on(host), "debian", nil, false)
		}, rebuild, map[string][]string{
			"": {"5.0", "6.0", "6.1", "6.1"}, "auto": {"5.0", "6.0", "6.1", "6.1"}, "none": {"5.0", "6.0", "6.1", "6.1"},
			"5.0": {"5.0", "5.0", "5.0", "5.0"}, "rocky": {"5.0", "5.0", "5.0", "5.0"},
			"6.0": {no, "6.0", "6.0", "6.0"}, "6.1": {no, "6.0", "6.1", "6.1"}, "bobcat": {no, "6.0", "6.1", "6.1"},
		}},
		{"rebuild with accelerators", func(ctx context.Context, a api, host string) error {
			return a.RebuildInstance(ctx, on(host), "debian", []string{"a"}, false)
		}, map[string]string{
			"6.0": `{"instance":$web,"image_ref":"debian","accel_uuids":["a"]}`,
			"6.1": `{"instance":$web,"image_ref":"debian","accel_uuids":["a"],"reimage_boot_volume":false}`,
		}, map[string][]string{
			"": {no, "6.0", "6.1", "6.1"}, "none": {no, "6.0", "6.1", "6.1"}, "5.0": {capped, capped, capped, capped},
			"6.0": {no, "6.0", "6.0", "6.0"}, "zed": {no, "6.0", "6.1", "6.1"},
		}},
		{"rebuild of a boot volume", func(ctx context.Context, a api, host string) error {
			return a.RebuildInstance(ctx, on(host), "debian", nil, true)
		}, map[string]string{"6.1": `{"instance":$web,"image_ref":"debian","accel_uuids":[],"reimage_boot_volume":true}`}, only61},
		{"rebuild with everything", func(ctx context.Context, a api, host string) error {
			return a.RebuildInstance(ctx, on(host), "debian", []string{"a"}, true)
		}, map[string]string{"6.1": `{"instance":$web,"image_ref":"debian",` + newest + `}`}, only61},
		{"resize", func(ctx context.Context, a api, host string) error {
			return a.ResizeInstance(ctx, on(host), small, spec)
		}, map[string]string{
			"5.0": `{"instance":$web,"instance_type":$flavor}`, "6.0": `{"instance":$web,"flavor":$flavor,"request_spec":$spec}`,
			"6.5": `{"instance":$web,"flavor":$flavor,"request_spec":$spec}`,
		}, going},
		{"pre live migration", func(ctx context.Context, a api, host string) error {
			return a.PreLiveMigration(ctx, on(host), host, true)
		}, map[string]string{
			"5.0": `{"instance":$web,"block_migration":true}`, "6.0": `{"instance":$web,"migrate_data":{"block_migration":true}}`,
			"6.5": `{"instance":$web,"migrate_data":{"block_migration":true}}`,
		}, going},
		{"terminate", func(ctx context.Context, a api, host string) error {
			return a.TerminateInstance(ctx, on(host))
		}, map[string]string{"5.0": `{"instance":$web}`, "6.0": `{"instance":$web}`}, either},
		{"console", func(ctx context.Context, a api, host string) error {
			_, err := a.GetConsoleOutput(ctx, on(host), 7)
			return err
		}, map[string]string{"5.0": `{"instance":$web,"tail_length":7}`, "6.0": `{"instance":$web,"tail_length":7}`}, either},
	} {
		t.Run(c.name, func(t *testing.T) {
			mixed := newComputes(t, hosts...)
			for i, host := range hosts {
				alone := newComputes(t, host)
				forms := map[string]string{}
				for version, form := range c.forms {
					forms[version] = expand(form, host)
				}
				for level, want := range c.want {
					config := rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: level}}
					for where, f := range map[string]*computes{"alone": alone, "in company": mixed} {
						got := f.sent(t, func(ctx context.Context) error { return c.send(ctx, rpcapi.NewComputeAPI(f.transport, config), host) })
						form, served := forms[want[i]]
						if served {
							form = host + " " + want[i] + " " + form
						} else {
							form = want[i]
						}
						if got != form {
							t.Errorf("at level %q, %s %s got\n  %s\nwant\n  %s", level, host, where, got, form)
						}
					}
				}
			}
		})
	}
}

// expand inserts the resources of the tests into a JSON template.
func expand(template, host string) string {
	return strings.NewReplacer("$web", strings.Replace(webJSON, "node2", host, 1), "$flavor", flavorJSON, "$spec", specJSON).Replace(template)
}

// computes is a fleet of computes, with a transport that counts its messages.
type computes struct {
	*oslorpctest.Fleet

	transport *oslorpc.Transport
	attempts  *attempts
}

func newComputes(t *testing.T, hosts ...string) *computes {
	t.Helper()
	f, a := newFleet(t), &attempts{}
	for _, host := range hosts {
		serve(f, "compute", host, compute(manager{name: host}, versions[host]))
	}
	return &computes{f, f.Transport(a.option()), a}
}

// sent returns one message as "host version arguments", or the kind of the error with which it was
// refused. A refused message must not be sent, not even to a server that refuses it.
func (c *computes) sent(t *testing.T, send func(context.Context) error) string {
	t.Helper()
	before, attempts := len(c.Messages()), c.attempts.Load()
	err := send(t.Context())
	messages, made := c.Messages()[before:], c.attempts.Load()-attempts
	if err != nil {
		if len(messages) != 0 || made != 0 {
			t.Errorf("%d messages and %d attempts, and %v", len(messages), made, err)
		}
		if !oslorpc.SafeToRetry(err) {
			t.Errorf("not safe to retry: %v", err)
		}
		return oslorpc.KindOf(err).Name()
	}
	if len(messages) != 1 || made != 1 {
		t.Fatalf("it took %d attempts to send %v", made, messages)
	}
	m := messages[0]
	if m.Topic != "compute" || m.Namespace != "" {
		t.Errorf("the message is %+v", m)
	}
	return fmt.Sprint(m.Server, " ", m.Version, " ", m.Args)
}

// A release name stands for the version of a message with many forms, and for the topic of a
// message with two topics.
func TestReleases(t *testing.T) {
	f := newFleet(t)
	serve(f, "compute", "node2", compute(manager{}, "6.5"))
	serve(f, "compute-alt", "node2", compute(manager{}, "6.5"))
	transport := f.Transport()
	for want, releases := range map[string]string{
		"5.0 at compute":     "queens rocky stein train ussuri victoria",
		"6.0 at compute":     "wallaby xena yoga",
		"6.1 at compute":     "zed antelope bobcat caracal dalmatian epoxy flamingo",
		"6.1 at compute-alt": "gazpacho",
	} {
		for release := range strings.FieldsSeq(releases) {
			a := rpcapi.NewComputeAPI(transport, rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: release}})
			before := len(f.Messages())
			if err := errors.Join(
				a.RebuildInstance(t.Context(), web, "debian", nil, false), a.PreLiveMigration(t.Context(), web, "node2", false),
			); err != nil {
				t.Errorf("%s: %v", release, err)
				continue
			}
			m := f.Messages()[before:]
			if got := fmt.Sprint(m[0].Version, " at ", m[1].Topic); got != want {
				t.Errorf("the level %s is %s, want %s", release, got, want)
			}
		}
	}
}

// Today's manager serves callers from before 6.0, and gets arguments that it knows.
func TestComputeV5Proxy(t *testing.T) {
	f := newFleet(t)
	var got []any
	m := manager{name: "node2", do: func(_ context.Context, args any) error {
		got = append(got, args)
		return nil
	}}
	serve(f, "compute", "node2", compute(m, "6.5"))
	old := f.Client(oslorpc.Target{Topic: "compute", Server: "node2", Version: "5.13"})
	for _, c := range []struct {
		method, args string
		want         any
	}{
		{"resize_instance", `{"instance":$web,"instance_type":$flavor}`,
			rpcapi.ResizeArgs{Instance: web, Flavor: small, RequestSpec: rpcapi.RequestSpec{Flavor: small}}},
		{"build_and_run_instance", `{"instance":$web,"image":"cirros","request_spec":$spec}`,
			rpcapi.BuildArgs{Instance: web, Image: "cirros", RequestSpec: spec}},
		{"rebuild_instance", `{"instance":$web,"image_ref":"debian"}`, rpcapi.RebuildArgs{Instance: web, ImageRef: "debian"}},
		{"pre_live_migration", `{"instance":$web,"block_migration":true}`,
			rpcapi.PreLiveMigrationArgs{Instance: web, MigrateData: rpcapi.MigrateData{BlockMigration: true}}},
		{"reboot_instance", `{"instance":$web,"reboot_type":"SOFT"}`, rpcapi.RebootArgs{Instance: web, RebootType: "SOFT"}},
	} {
		got = nil
		if _, err := oslorpc.Call[any](t.Context(), old, c.method, oslorpc.Raw(expand(c.args, "node2"))); err != nil {
			t.Errorf("%s: %v", c.method, err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("[%+v]", c.want) {
			t.Errorf("of %s the manager got %+v", c.method, got)
		}
	}
	_, err := oslorpc.Call[any](t.Context(), old, "resize_instance", oslorpc.Raw(expand(`{"instance":$web,"flavor":$flavor}`, "node2")))
	if oslorpc.KindOf(err) != oslorpc.BadArguments {
		t.Errorf("a flavor of a 5.x caller: %v", err)
	}
	_, err = oslorpc.Call[any](t.Context(), old.Prepare(oslorpc.WithVersion("5.14")), "get_host_uptime", nil)
	if oslorpc.KindOf(err) != oslorpc.UnsupportedVersion {
		t.Errorf("a version that there never was: %v", err)
	}
}

// The proxy will be removed one day. The list of deprecated methods contains all of its methods.
func TestComputeV5ProxyIsDeprecated(t *testing.T) {
	f := newFleet(t)
	serve(f, "compute", "node2", compute(manager{}, "6.5"))
	transport := f.Transport()
	instances, err := transport.Instances(t.Context())
	if err != nil || len(instances) != 1 {
		t.Fatal(instances, err)
	}
	info, err := transport.Info(t.Context(), instances[0])
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string][]string{}
	for _, e := range info.Servers[0].Endpoints {
		for _, m := range e.Methods {
			key := e.Version.String() + " " + e.DeprecatedSince.String()
			methods[key] = append(methods[key], m.Name)
		}
	}
	if current := methods["6.5 0.0"]; len(current) == 0 || !slices.Equal(current, methods["5.13 5.13"]) {
		t.Errorf("the methods are %v", methods)
	}
}

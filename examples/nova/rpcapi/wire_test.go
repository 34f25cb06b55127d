package rpcapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// These are the resources of the tests, and their form on the wire.
var (
	small = rpcapi.Flavor{Name: "small", VCPUs: 1, MemoryMB: 512}
	web   = rpcapi.Instance{
		UUID: "u", DisplayName: "web", Host: "node2", VMState: rpcapi.Active, TaskState: "t", ImageRef: "cirros", Flavor: small, Fault: "f",
	}
	spec = rpcapi.RequestSpec{Flavor: small, Cell: "c", Host: "h", IgnoreHosts: []string{"node1"}}
	none []string
)

const (
	flavorJSON = `{"name":"small","vcpus":1,"memory_mb":512}`
	webJSON    = `{"uuid":"u","display_name":"web","host":"node2","vm_state":"active","task_state":"t","image_ref":"cirros","flavor":` +
		flavorJSON + `,"fault":"f"}`
	specJSON = `{"flavor":` + flavorJSON + `,"cell":"c","host":"h","ignore_hosts":["node1"]}`
)

// These are the receivers of a message.
const (
	toAny   = "any"
	toEach  = "each" // fanout
	toNode2 = "node2"
)

// message is the expected message on the wire for one method of a client API.
type message struct {
	call     string // the method in Go
	with     []any  // its arguments after ctx
	to       string
	delivery oslorpctest.Delivery
	version  string
	method   string
	kwargs   string
}

// invoke calls a method by name and returns its error and the preceding result.
func invoke(ctx context.Context, api any, method string, args []any) (any, error) {
	values := []reflect.Value{reflect.ValueOf(ctx)}
	for _, a := range args {
		values = append(values, reflect.ValueOf(a))
	}
	results := reflect.ValueOf(api).MethodByName(method).Call(values)
	err, _ := reflect.TypeAssert[error](results[len(results)-1])
	return results[0].Interface(), err
}

func TestOnTheWire(t *testing.T) { synctest.Test(t, testOnTheWire) }

func testOnTheWire(t *testing.T) {
	f := newFleet(t)
	ran := &atomic.Int32{}
	var servers []*oslorpctest.Server
	for _, host := range []string{"node1", "node2"} {
		m := manager{name: host, ran: ran}
		servers = append(servers, serve(f, "compute", host, compute(m, "6.5")), serve(f, "compute-alt", host, compute(m, "6.5")),
			serve(f, "conductor", host, conductor(m)), serve(f, "scheduler", host, scheduler(m)))
	}
	transport, config := f.Transport(), rpcapi.Config{}
	const call, cast = oslorpctest.Call, oslorpctest.Cast
	computes := rpcapi.NewComputeAPI(transport, config)
	migration := []any{web, "node2", true}
	const versionsJSON = `"object_versions":{"Instance":"1.0","InstanceList":"1.0"}`
	const migrationJSON = `{"instance":` + webJSON + `,"block_migration":true}`
	covered := map[string]bool{}
	for _, c := range []struct {
		api              any
		topic, namespace string
		messages         []message
	}{
		{computes, "compute", "", []message{
			{"BuildAndRunInstance", []any{"node2", web, spec, none}, toNode2, cast, "6.0", "build_and_run_instance",
				`{"instance":` + webJSON + `,"image":"cirros","request_spec":` + specJSON + `,"accel_uuids":[]}`},
			{"BuildAndRunInstance", []any{"node2", web, spec, []string{"a", "b"}}, toNode2, cast, "6.0", "build_and_run_instance",
				`{"instance":` + webJSON + `,"image":"cirros","request_spec":` + specJSON + `,"accel_uuids":["a","b"]}`},
			{"TerminateInstance", []any{web}, toNode2, cast, "6.0", "terminate_instance", `{"instance":` + webJSON + `}`},
			{"RebootInstance", []any{web, "HARD"}, toNode2, cast, "6.0", "reboot_instance",
				`{"instance":` + webJSON + `,"reboot_type":"HARD"}`},
			{"RebuildInstance", []any{web, "debian", []string{"a"}, true}, toNode2, cast, "6.1", "rebuild_instance",
				`{"instance":` + webJSON + `,"image_ref":"debian","accel_uuids":["a"],"reimage_boot_volume":true}`},
			{"RebuildInstance", []any{web, "debian", none, false}, toNode2, cast, "6.1", "rebuild_instance",
				`{"instance":` + webJSON + `,"image_ref":"debian","accel_uuids":[],"reimage_boot_volume":false}`},
			{"GetConsoleOutput", []any{web, 3}, toNode2, call, "6.0", "get_console_output", `{"instance":` + webJSON + `,"tail_length":3}`},
			{"GetHostUptime", []any{"node2"}, toNode2, call, "6.0", "get_host_uptime", `{}`},
			{"SetHostEnabled", []any{"node2", false}, toNode2, call, "6.0", "set_host_enabled", `{"enabled":false}`},
			{"CheckCanLiveMigrateDestination", migration, toNode2, call, "6.0", "check_can_live_migrate_destination", migrationJSON},
		}},
		{computes, "compute-alt", "", []message{
			{"ResizeInstance", []any{web, small, spec}, toNode2, cast, "6.5", "resize_instance",
				`{"instance":` + webJSON + `,"flavor":` + flavorJSON + `,"request_spec":` + specJSON + `}`},
			{"LiveMigration", []any{web, "node1", true}, toNode2, cast, "6.5", "live_migration",
				`{"instance":` + webJSON + `,"dest":"node1","block_migration":true}`},
			{"PreLiveMigration", migration, toNode2, call, "6.5", "pre_live_migration",
				`{"instance":` + webJSON + `,"migrate_data":{"block_migration":true}}`},
			{"PostLiveMigrationAtDestination", migration, toNode2, call, "6.5", "post_live_migration_at_destination", migrationJSON},
			{"RollbackLiveMigrationAtDestination", []any{web, "node2"}, toNode2, cast, "6.5", "rollback_live_migration_at_destination",
				`{"instance":` + webJSON + `}`},
		}},
		{rpcapi.NewConductorAPI(transport, config), "conductor", "", []message{
			{"Create", []any{web}, toAny, call, "3.0", "object_action", `{"objinst":` + webJSON + `,"objmethod":"create","args":[],"kwargs":{}}`},
			{"Save", []any{web}, toAny, call, "3.0", "object_action", `{"objinst":` + webJSON + `,"objmethod":"save","args":[],"kwargs":{}}`},
			{"Begin", []any{"migrating", web}, toAny, call, "3.0", "object_action",
				`{"objinst":` + strings.Replace(webJSON, `"task_state":"t"`, `"task_state":"migrating"`, 1) +
					`,"objmethod":"save","args":[],"kwargs":{"expected_task_state":""}}`},
			{"SaveIf", []any{"migrating", web}, toAny, call, "3.0", "object_action",
				`{"objinst":` + webJSON + `,"objmethod":"save","args":[],"kwargs":{"expected_task_state":"migrating"}}`},
			{"Destroy", []any{web}, toAny, call, "3.0", "object_action", `{"objinst":` + webJSON + `,"objmethod":"destroy","args":[],"kwargs":{}}`},
			{"GetByUUID", []any{"u"}, toAny, call, "3.0", "object_class_action_versions",
				`{"objname":"Instance","objmethod":"get_by_uuid",` + versionsJSON + `,"args":["u"],"kwargs":{}}`},
			{"GetByHost", []any{"node2"}, toAny, call, "3.0", "object_class_action_versions",
				`{"objname":"InstanceList","objmethod":"get_by_host",` + versionsJSON + `,"args":["node2"],"kwargs":{}}`},
			{"GetAll", nil, toAny, call, "3.0", "object_class_action_versions",
				`{"objname":"InstanceList","objmethod":"get_all",` + versionsJSON + `,"args":[],"kwargs":{}}`},
		}},
		{rpcapi.NewComputeTaskAPI(transport, config), "conductor", "compute_task", []message{
			{"BuildInstances", []any{[]rpcapi.Instance{web, web}, spec}, toAny, cast, "2.0", "build_instances",
				`{"instances":[` + webJSON + `,` + webJSON + `],"request_spec":` + specJSON + `}`},
			{"MigrateServer", []any{web, "c", "node1"}, toAny, call, "2.0", "migrate_server",
				`{"instance":` + webJSON + `,"scheduler_hint":{"cell":"c","host":"node1"},"live":true}`},
		}},
		{rpcapi.NewSchedulerAPI(transport, config), "scheduler", "", []message{
			{"SelectDestinations", []any{spec, []string{"u", "v"}, true}, toAny, call, "4.5", "select_destinations",
				`{"spec_obj":` + specJSON + `,"instance_uuids":["u","v"],"return_objects":true,"return_alternates":true}`},
			{"UpdateInstanceInfo", []any{"node1", web}, toEach, cast, "4.2", "update_instance_info",
				`{"host_name":"node1","instance_info":` + webJSON + `}`},
			{"DeleteInstanceInfo", []any{"node1", "u"}, toEach, cast, "4.2", "delete_instance_info",
				`{"host_name":"node1","instance_uuid":"u"}`},
			{"SyncInstanceInfo", []any{"node1", []string{"u"}}, toEach, cast, "4.2", "sync_instance_info",
				`{"host_name":"node1","instance_uuids":["u"]}`},
		}},
		{rpcapi.NewBaseAPI(transport, "scheduler"), "scheduler", "baseapi", []message{
			{"Ping", []any{"hello", oslorpc.DefaultCallTimeout}, toAny, call, "1.0", "ping", `{"arg":"hello"}`},
			{"WaitUntilReady", []any{func(error) {}}, toAny, call, "1.0", "ping", `{"arg":"are you there?"}`},
		}},
	} {
		for _, m := range c.messages {
			name := fmt.Sprintf("%T.%s", c.api, m.call)
			covered[name] = true
			m.check(t, f, name, c.api, c.topic, c.namespace)
		}
	}
	for _, api := range []any{
		&rpcapi.ComputeAPI{}, &rpcapi.ConductorAPI{}, &rpcapi.ComputeTaskAPI{}, &rpcapi.SchedulerAPI{}, &rpcapi.BaseAPI{},
	} {
		for m := range reflect.TypeOf(api).Methods() {
			if name := fmt.Sprintf("%T.%s", api, m.Name); !covered[name] {
				t.Errorf("nothing says what %s sends", name)
			}
		}
	}

	for _, s := range servers {
		s.Stop()
	}
	pings := f.Messages(oslorpctest.For("ping")) // no manager runs them
	if sent := len(f.Messages()) - len(pings); int(ran.Load()) != sent {
		t.Errorf("of %d messages, managers took %d", sent, ran.Load())
	}
}

// check sends a message twice. A message for any server arrives at each server once, and a message
// for a host arrives at this host twice.
func (m message) check(t *testing.T, f *oslorpctest.Fleet, name string, api any, topic, namespace string) {
	t.Helper()
	before := len(f.Messages())
	for range 2 {
		if _, err := invoke(rpcapi.AdminContext(t.Context()), api, m.call, m.with); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		synctest.Wait() // a server that is being connected comes after those that are
	}
	servers := []string{}
	for _, got := range f.Messages()[before:] {
		servers = append(servers, got.Server)
		is := fmt.Sprint(got.Topic, " ", got.Namespace, " ", got.Version, " ", got.Delivery, " ", got.Method)
		if want := fmt.Sprint(topic, " ", namespace, " ", m.version, " ", m.delivery, " ", m.method); is != want {
			t.Errorf("%s: got %q, want %q", name, is, want)
		}
		if !sameJSON(t, string(got.Args), m.kwargs) {
			t.Errorf("%s: the arguments are %s, want %s", name, got.Args, m.kwargs)
		}
		if got.Context["is_admin"] != true || !isRequestID(got.Context["request_id"]) {
			t.Errorf("%s: the context is %v", name, got.Context)
		}
	}
	slices.Sort(servers)
	want := map[string][]string{
		toAny: {"node1", "node2"}, toEach: {"node1", "node1", "node2", "node2"}, toNode2: {"node2", "node2"},
	}[m.to]
	if !slices.Equal(servers, want) {
		t.Errorf("%s: messages for %s came to %q", name, m.to, servers)
	}
}

func isRequestID(v any) bool {
	id, ok := v.(string)
	return ok && len(id) == len("req-")+len(rpcapi.NewUUID()) && strings.HasPrefix(id, "req-")
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	for text, v := range map[string]*any{a: &x, b: &y} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return a == b || reflect.DeepEqual(x, y)
}

// Callers get what servers return.
func TestResults(t *testing.T) {
	f := newFleet(t)
	m := manager{name: "node2"}
	serve(f, "compute", "node2", compute(m, "6.5"))
	serve(f, "conductor", "ctl", conductor(m))
	serve(f, "scheduler", "ctl", scheduler(m))
	transport := f.Transport()
	computes := rpcapi.NewComputeAPI(transport, rpcapi.Config{})
	conductors := rpcapi.NewConductorAPI(transport, rpcapi.Config{})
	for _, c := range []struct {
		api  any
		call string
		with []any
		want any
	}{
		{computes, "GetConsoleOutput", []any{web, 0}, "node2 login:"},
		{computes, "GetHostUptime", []any{"node2"}, "up on node2"},
		{computes, "SetHostEnabled", []any{"node2", true}, "enabled"},
		{computes, "SetHostEnabled", []any{"node2", false}, "disabled"},
		{conductors, "GetByUUID", []any{"u"}, web},
		{conductors, "GetByHost", []any{"node2"}, []rpcapi.Instance{web}},
		{conductors, "GetAll", nil, []rpcapi.Instance{web}},
		{rpcapi.NewComputeTaskAPI(transport, rpcapi.Config{}), "MigrateServer", []any{web, "c", ""},
			rpcapi.Selection{Cell: "c", ServiceHost: "node2"}},
		{rpcapi.NewSchedulerAPI(transport, rpcapi.Config{}), "SelectDestinations", []any{spec, []string{"u"}, false},
			[][]rpcapi.Selection{{{Cell: "c", ServiceHost: "node2"}}}},
		{rpcapi.NewBaseAPI(transport, "compute"), "Ping", []any{"hello", oslorpc.DefaultCallTimeout},
			rpcapi.Pong{Service: "nova-compute", Arg: "hello"}},
	} {
		if got, err := invoke(t.Context(), c.api, c.call, c.with); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s returned %+v, %v", c.call, got, err)
		}
	}
}

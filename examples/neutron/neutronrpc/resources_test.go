package neutronrpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// subscribe makes a host report that it knows a version of networks.
func subscribe(f *oslorpctest.Fleet, host, version string, agent neutronrpc.ResourcesPushRPC) *oslorpctest.Server {
	topic := neutronrpc.ResourceTopic("Network", version)
	return f.Serve(oslorpc.Target{Topic: topic, Server: host}, []oslorpc.Endpoint{neutronrpc.ResourcesPushRPCCallback(agent)})
}

// Each agent gets objects in the version that it knows. A version that no agent knows any more is
// not sent.
func TestResourcesPushOnTheWire(t *testing.T) {
	f := oslorpctest.New(t)
	subscribe(f, "net1", "1.0", fakeResourcesPush{})
	subscribe(f, "net2", "1.1", fakeResourcesPush{})
	subscribe(f, "net3", "1.1", fakeResourcesPush{})
	n := neutronrpc.NewResourcesPushRPCAPI(f.Transport())
	push := func(event string) []string {
		t.Helper()
		before := len(f.Messages())
		data := []map[string]any{{"id": "n", "mtu": 1500, "revision_number": 3}}
		if err := n.Push(t.Context(), neutronrpc.NetworkType, data, event); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range f.Messages()[before:] {
			lines = append(lines, fmt.Sprint(m.Server, " ", m.Topic, " ", m.Namespace, " ", m.Version, " ", m.Delivery, " ", m.Method, " ", m.Args))
		}
		slices.Sort(lines)
		return lines
	}
	line := func(host, version, data, event string) string {
		return host + ` neutron-vo-Network-` + version + `  1.1 cast push {"resource_list":[{"versioned_object.name":"Network",` +
			`"versioned_object.namespace":"versionedobjects","versioned_object.version":"` + version +
			`","versioned_object.data":` + data + `}],"event_type":"` + event + `"}`
	}
	const old, current = `{"id":"n","revision_number":3}`, `{"id":"n","mtu":1500,"revision_number":3}`
	wantLines(t, push(neutronrpc.ObjectCreated),
		line("net1", "1.0", old, "updated"), line("net2", "1.1", current, "updated"), line("net3", "1.1", current, "updated"))

	f.Server("net1").Kill()
	if versions, err := n.VersionsInUse(t.Context(), neutronrpc.NetworkType); err != nil || !slices.Equal(versions, []string{"1.1"}) {
		t.Errorf("versions in use: %q, %v", versions, err)
	}
	wantLines(t, push(neutronrpc.ObjectDeleted), line("net2", "1.1", `{"id":"n"}`, "deleted"), line("net3", "1.1", `{"id":"n"}`, "deleted"))
}

// Other types and agents of other fleets do not count.
func TestVersionsInUse(t *testing.T) {
	f := oslorpctest.New(t)
	for _, target := range []oslorpc.Target{
		{Topic: "neutron-vo-Networks-1.0", Server: "net1"}, {Topic: "neutron-vo-Port-1.7", Server: "net1"},
		{Topic: "neutron-vo-Network-1.0", Server: "net1", Exchange: "other"}, {Topic: "neutron-vo-Network-1.1", Server: "net1"},
	} {
		f.Serve(target, []oslorpc.Endpoint{neutronrpc.ResourcesPushRPCCallback(fakeResourcesPush{})})
	}
	n := neutronrpc.NewResourcesPushRPCAPI(f.Transport())
	if versions, err := n.VersionsInUse(t.Context(), neutronrpc.NetworkType); err != nil || !slices.Equal(versions, []string{"1.1"}) {
		t.Errorf("versions in use: %q, %v", versions, err)
	}
}

// An agent that is newer than the servers causes an error, and the other agents are notified about
// the change.
func TestPushToNewerAgents(t *testing.T) {
	f := oslorpctest.New(t)
	subscribe(f, "net1", "1.1", fakeResourcesPush{})
	subscribe(f, "net2", "1.2", fakeResourcesPush{})
	n := neutronrpc.NewResourcesPushRPCAPI(f.Transport())
	err := n.Push(t.Context(), neutronrpc.NetworkType, []map[string]any{{"id": "n"}}, neutronrpc.ObjectUpdated)
	if err == nil || len(f.Messages(oslorpctest.At("net1"))) != 1 || len(f.Messages(oslorpctest.At("net2"))) != 0 {
		t.Errorf("%v; messages: %v", err, f.Messages())
	}
}

// The cache keeps the newest object, in whatever order notifications arrive.
func TestRemoteResourceCache(t *testing.T) {
	f := oslorpctest.New(t)
	cache := neutronrpc.NewRemoteResourceCache()
	subscribe(f, "net1", "1.1", cache)
	topic := neutronrpc.ResourceTopic("Network", "1.1")
	push := oslorpc.Target{Topic: topic, Version: "1.1"}
	c := f.Client(push)
	object := func(id string, revision int) neutronrpc.VersionedObject {
		return neutronrpc.VersionedObject{Type: "Network", Version: "1.1", Data: map[string]any{"id": id, "revision_number": revision}}
	}
	// This is a call, so that the method has run when the call returns.
	tell := func(event string, o neutronrpc.VersionedObject) {
		t.Helper()
		args := neutronrpc.PushArgs{ResourceList: []neutronrpc.VersionedObject{o}, EventType: event}
		if _, err := oslorpc.Call[any](t.Context(), c, "push", args); err != nil {
			t.Fatal(err)
		}
	}
	tell(neutronrpc.ObjectUpdated, object("n", 3))
	tell(neutronrpc.ObjectUpdated, object("n", 2)) // late
	if o, _ := cache.Get("n"); o.Data["revision_number"] != int64(3) {
		t.Errorf("an old update came last, and the cache has %v", o)
	}
	tell(neutronrpc.ObjectDeleted, object("m", 0))
	tell(neutronrpc.ObjectUpdated, object("m", 1)) // later still
	if o, ok := cache.Get("m"); ok {
		t.Errorf("what was deleted is back: %v", o)
	}
	err := cache.Resync(func() ([]neutronrpc.VersionedObject, error) {
		tell(neutronrpc.ObjectUpdated, object("new", 1)) // crosses with the answer
		return []neutronrpc.VersionedObject{object("other", 1)}, nil
	})
	_, gone := cache.Get("n")
	_, pushed := cache.Get("new")
	_, pulled := cache.Get("other")
	if err != nil || gone || !pushed || !pulled {
		t.Errorf("after a resync: %v; n %v, new %v, other %v", err, gone, pushed, pulled)
	}
}

func TestObjectAtAVersion(t *testing.T) {
	data := map[string]any{"id": "n", "mtu": 1500, "name": "blue"}
	old, err := neutronrpc.NetworkType.Object("1.0", data)
	if _, has := old.Data["mtu"]; err != nil || has || old.ID() != "n" || data["mtu"] != 1500 {
		t.Errorf("at 1.0 it is %v, %v; and the data are %v", old, err, data)
	}
	var n neutronrpc.Network
	current, err := neutronrpc.NetworkType.Object("1.1", data)
	if bad := current.Into(&n); err != nil || bad != nil || n.MTU != 1500 || n.Name != "blue" {
		t.Errorf("at 1.1 it is %+v, %v", n, err)
	}
	for _, version := range []string{"1.2", "2.0", "", "one"} {
		if o, err := neutronrpc.NetworkType.Object(version, data); err == nil {
			t.Errorf("at %q it is %v", version, o)
		}
	}
}

package consul

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/golden"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const goldenFile = "registrations.json"

// goldenInstance is an instance in proto/testdata.
type goldenInstance struct {
	ID          string   `json:"id"`
	BootID      string   `json:"boot_id"`
	Exchange    string   `json:"exchange"`
	Topic       string   `json:"topic"`
	Server      string   `json:"server"`
	Addr        string   `json:"addr"`
	State       string   `json:"state"`
	Implemented []string `json:"implemented"`
	Zone        string   `json:"zone,omitempty"`
}

func (g goldenInstance) instance(t *testing.T) rpc.Instance {
	t.Helper()
	i := rpc.Instance{
		ID: g.ID, BootID: g.BootID, Exchange: g.Exchange, Topic: g.Topic, Server: g.Server, Addr: g.Addr, State: rpc.State(g.State), Zone: g.Zone,
	}
	for _, text := range g.Implemented {
		implementation, err := discovery.ParseImplementation(text)
		if err != nil {
			t.Fatal(err)
		}
		i.Implemented = append(i.Implemented, implementation)
	}
	return i
}

func toGolden(i rpc.Instance) goldenInstance {
	g := goldenInstance{
		ID: i.ID, BootID: i.BootID, Exchange: i.Exchange, Topic: i.Topic, Server: i.Server, Addr: i.Addr, State: string(i.State),
		Implemented: []string{}, Zone: i.Zone,
	}
	for _, implementation := range i.Implemented {
		g.Implemented = append(g.Implemented, discovery.FormatImplementation(implementation))
	}
	return g
}

// Implementations in other languages use the same service names.
func TestGoldenNames(t *testing.T) {
	type named struct {
		Exchange string `json:"exchange"`
		Topic    string `json:"topic"`
		Name     string `json:"name"`
		Process  string `json:"process"`
	}
	cases := golden.Load[named](t, goldenFile, "consul_names")
	for i, c := range cases {
		topic := registry.Topic{Exchange: c.Exchange, Name: c.Topic}
		name, process := serviceName(topic), processName(topic)
		if cases[i].Name, cases[i].Process = name, process; !golden.Updating() && (name != c.Name || process != c.Process) {
			t.Errorf("%+v: got %q and %q", c, name, process)
		}
	}
	golden.Save(t, goldenFile, "consul_names", cases)
}

// Implementations in other languages register the same services.
func TestGoldenServices(t *testing.T) {
	type registered struct {
		Instance goldenInstance                  `json:"instance"`
		TTL      int                             `json:"ttl_seconds"`
		Services []*api.AgentServiceRegistration `json:"services"`
	}
	cases := golden.Load[registered](t, goldenFile, "consul_services")
	for n, c := range cases {
		instance := c.Instance.instance(t)
		process, err := processService(instance, ids{"PROCESS", "PROCESS-CHECK"}, time.Duration(c.TTL)*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		service, err := instanceService(instance, ids{"INSTANCE", "INSTANCE-CHECK"}, "PROCESS")
		if err != nil {
			t.Fatal(err)
		}
		process.Check.Notes = "" // it is for people
		got := []*api.AgentServiceRegistration{process, service}
		if cases[n].Services = got; !golden.Updating() && !golden.Equal(t, got, c.Services) {
			t.Errorf("%s: got %+v, %+v", instance.ID, process, service)
		}
	}
	golden.Save(t, goldenFile, "consul_services", cases)
}

// Implementations in other languages agree which entries are alive, and which to skip.
func TestGoldenEntries(t *testing.T) {
	type read struct {
		Case      string            `json:"case"`
		Exchange  string            `json:"exchange"`
		Topic     string            `json:"topic"`
		Entries   []json.RawMessage `json:"entries"`
		Instances []goldenInstance  `json:"instances"`
		Skipped   []string          `json:"skipped"`
	}
	cases := golden.Load[read](t, goldenFile, "consul_entries")
	for n, c := range cases {
		var entries []*api.ServiceEntry
		for _, text := range c.Entries {
			e := &api.ServiceEntry{}
			if err := json.Unmarshal(text, e); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		list, broken := instances(entries, serviceName(registry.Topic{Exchange: c.Exchange, Name: c.Topic}))
		found, skipped := []goldenInstance{}, []string{}
		for _, i := range list {
			found = append(found, toGolden(i))
		}
		for id := range broken {
			skipped = append(skipped, id)
		}
		slices.Sort(skipped)
		if !golden.Updating() && (!golden.Equal(t, found, c.Instances) || !slices.Equal(skipped, c.Skipped)) {
			t.Errorf("%s: found %+v, skipped %v", c.Case, found, skipped)
		}
		cases[n].Instances, cases[n].Skipped = found, skipped
	}
	golden.Save(t, goldenFile, "consul_entries", cases)
}

package consul

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

// The documented policies equal the results of the functions.
func TestPolicy(t *testing.T) {
	t.Parallel()
	documented := consultest.Policies(t, "../../../docs/discovery.md")
	demo := []registry.Topic{{Exchange: "openstack", Name: "demo"}}
	for role, rules := range map[string][]Rule{
		"a server on the topic demo": Rules(demo, nil), "a client of the topic demo": Rules(nil, demo),
	} {
		if got := Policy(rules); got != documented[role] {
			t.Errorf("%s: got\n%swant\n%s", role, got, documented[role])
		}
	}
	if got := Policy(Rules(demo, demo)); got != documented["a server on the topic demo"] {
		t.Errorf("a server that calls its own topic needs\n%s", got)
	}
}

// The rules of a topic contain the names under which it registers, even if a name has a hash.
func TestRulesHaveTheNamesOfTopics(t *testing.T) {
	t.Parallel()
	hashed := registry.Topic{Exchange: "nova", Name: "compute.host_1"}
	rules := Rules([]registry.Topic{hashed}, []registry.Topic{{Exchange: "nova", Name: "scheduler"}})
	want := []Rule{{serviceName(hashed), true}, {processName(hashed), true}, {"oslorpc-nova-scheduler", false}}
	for i, r := range rules {
		if i >= len(want) || r != want[i] {
			t.Errorf("got %+v, want %+v", rules, want)
		}
	}
	if len(rules) != len(want) || rules[0].Service == "oslorpc-nova-compute.host_1" {
		t.Errorf("got %+v", rules)
	}
}

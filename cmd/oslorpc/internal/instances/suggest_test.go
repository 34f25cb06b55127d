package instances

import (
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestSimilarNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ word, known, want string }{
		{"", "", ""}, {"demo", "demo", "demo"}, {"dmeo", "demo", "demo"}, {"dem", "demo", "demo"}, {"demoo", "demo", "demo"}, {"demi", "demo", "demo"},
		{"", "demo", ""}, {"neutorn", "neutron", "neutron"}, {"netron", "neutron", "neutron"}, {"compute", "conductor", ""}, {"ümlaut", "umlaut", "umlaut"},
		{"DEMO", "demo", "demo"}, {"node1", "node2 node3", ""}, {"ndoe1", "node1 node2", "node1"}, {"demo", "deme demo dome", "demo deme"},
		{"nova-conductro", "nova-compute nova-conductor", "nova-conductor"}, {"xnova-conductro", "nova-conductor", "nova-conductor"}, {"dmoe", "demos", ""},
	} {
		if got := similar(test.word, strings.Fields(test.known)); !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%q among %q: got %q, want %q", test.word, test.known, got, test.want)
		}
	}
}

// directory names a registry.
type directory struct{}

func (directory) String() string { return "a directory" }

func TestSuggestions(t *testing.T) {
	t.Parallel()
	at := func(exchange, topic, server string) oslorpc.Instance {
		return oslorpc.Instance{Exchange: exchange, Topic: topic, Server: server}
	}
	fleet := []oslorpc.Instance{at("openstack", "demo", "node1"), at("openstack", "demo", "node2"), at("neutron", "q-plugin", "ctl")}
	many := fleet
	for _, name := range []string{"a1", "b1", "c1", "d1", "e1"} {
		many = append(many, at("openstack", name, "x"))
	}
	for name, test := range map[string]struct {
		s        Selection
		all      []oslorpc.Instance
		want     string
		misspelt bool
	}{
		"no instances": {Selection{Topic: "demo"}, nil, "a directory lists no server at all; to look elsewhere, use --transport or OSLORPC_TRANSPORT_URL, " +
			"with a URL such as consul://localhost:8500", false},
		"one matches":          {Selection{Topic: "demo"}, fleet, "", false},
		"a slip":               {Selection{Topic: "dmeo"}, fleet, `did you mean "demo"?`, true},
		"another case":         {Selection{Topic: "Q-Plugin"}, fleet, `did you mean "q-plugin"?`, true},
		"another name":         {Selection{Topic: "compute"}, fleet, `the topics are "demo", "q-plugin"`, false},
		"one topic only":       {Selection{Topic: "compute"}, fleet[:1], `there is only "demo"`, false},
		"another number":       {Selection{Topic: "demo1"}, []oslorpc.Instance{at("x", "demo2", "")}, `there is only "demo2"`, false},
		"many":                 {Selection{Topic: "compute"}, many, `the topics are "a1", "b1", "c1", "d1", "demo" and 2 more`, false},
		"in another exchange":  {Selection{Topic: "q-plugin", Exchange: "openstack"}, fleet, `one is in the exchange "neutron": see --exchange`, false},
		"another server":       {Selection{Topic: "demo", Server: "node3"}, fleet, `the servers there are "node1", "node2"`, false},
		"a slip in the server": {Selection{Topic: "demo", Server: "ndoe1"}, fleet, `did you mean "node1"?`, true},
		"without names":        {Selection{Topic: "demo", Server: "a"}, []oslorpc.Instance{at("x", "demo", "")}, "", false},
	} {
		if got := test.s.Suggest(directory{}, test.all); got.Text != test.want || got.Misspelt != test.misspelt || got.Empty != (test.all == nil) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

package main

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"demo", "demo", 0}, {"dmeo", "demo", 1}, {"dem", "demo", 1}, {"demoo", "demo", 1}, {"demi", "demo", 1},
		{"", "demo", 4}, {"neutorn", "neutron", 1}, {"netron", "neutron", 1}, {"compute", "conductor", 5}, {"ümlaut", "umlaut", 1},
	} {
		if got, back := distance(test.a, test.b), distance(test.b, test.a); got != test.want || back != test.want {
			t.Errorf("%q and %q: got %d, and %d the other way, want %d", test.a, test.b, got, back, test.want)
		}
	}
}

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
		s        selection
		all      []oslorpc.Instance
		want     string
		misspelt bool
	}{
		"nobody anywhere":      {selection{topic: "demo"}, nil, "", false},
		"somebody is there":    {selection{topic: "demo"}, fleet, "", false},
		"a slip":               {selection{topic: "dmeo"}, fleet, `did you mean "demo"?`, true},
		"another case":         {selection{topic: "Q-Plugin"}, fleet, `did you mean "q-plugin"?`, true},
		"another name":         {selection{topic: "compute"}, fleet, `the topics are "demo", "q-plugin"`, false},
		"one topic only":       {selection{topic: "compute"}, fleet[:1], `there is only "demo"`, false},
		"another number":       {selection{topic: "demo1"}, []oslorpc.Instance{at("x", "demo2", "")}, `there is only "demo2"`, false},
		"many":                 {selection{topic: "compute"}, many, `the topics are "a1", "b1", "c1", "d1", "demo" and 2 more`, false},
		"in another exchange":  {selection{topic: "q-plugin", exchange: "openstack"}, fleet, `one is in the exchange "neutron": see --exchange`, false},
		"another server":       {selection{topic: "demo", server: "node3"}, fleet, `the servers there are "node1", "node2"`, false},
		"a slip in the server": {selection{topic: "demo", server: "ndoe1"}, fleet, `did you mean "node1"?`, true},
		"without names":        {selection{topic: "demo", server: "a"}, []oslorpc.Instance{at("x", "demo", "")}, "", false},
	} {
		if got := test.s.suggest(test.all); got.text != test.want || got.misspelt != test.misspelt {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

package dispatch

import (
	"maps"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// exposing marks methods of an endpoint as exposed.
func exposing(e Endpoint, methods ...string) Endpoint {
	for _, name := range methods {
		e.Methods[name].Exposed = true
	}
	return e
}

func TestSelectionUnderAPolicy(t *testing.T) {
	t.Parallel()
	usual := func(namespaces ...string) Endpoint {
		return exposing(offers("", namespaces, "foo", "bar", "_foobar"), "bar")
	}
	legacy := []Endpoint{usual("testns", "second", "-")}
	several := []Endpoint{
		exposing(offers("2.3", []string{"n"}, "foo", "exp", "_priv"), "exp"),
		exposing(offers("2.5", []string{"n"}, "foo", "exp", "_priv", "only_b"), "exp", "foo"),
	}
	for _, test := range []struct {
		name      string
		policy    Policy
		endpoints []Endpoint
		lookups   []lookup
	}{
		{"all", AllowAll, []Endpoint{usual()}, []lookup{
			{"", "", "bar", 0}, {"", "", "foo", 0}, {"", "", "_foobar", 0}, {"", "", "foobar", noMethod},
		}},
		{"public", AllowPublic, legacy, []lookup{
			{"", "1.0", "foo", 0}, {"testns", "", "bar", 0}, {"testns", "", "_foobar", noMethod}, {"wrong", "", "_foobar", unsupported},
		}},
		{"exposed", AllowExposed, legacy, []lookup{
			{"testns", "", "foo", noMethod}, {"testns", "", "bar", 0}, {"", "", "_foobar", noMethod}, {"wrong", "", "bar", unsupported},
		}},
		{"all, of several endpoints", AllowAll, several, []lookup{{"n", "2.0", "_priv", 0}, {"n", "2.4", "_priv", 1}}},
		{"public, of several endpoints", AllowPublic, several, []lookup{
			{"n", "2.0", "_priv", noMethod}, {"n", "2.0", "exp", 0}, {"n", "2.0", "only_b", 1},
		}},
		{"exposed, of several endpoints", AllowExposed, several, []lookup{
			{"n", "2.0", "exp", 0},
			{"n", "2.0", "foo", 1}, // the first hides it, so the search goes on
			{"n", "2.0", "only_b", noMethod},
			{"n", "2.0", "_priv", noMethod},
			{"n", "2.6", "exp", unsupported},
		}},
		{"exposed and private", AllowExposed, []Endpoint{exposing(offers("", nil, "_foo"), "_foo")}, []lookup{{"", "", "_foo", 0}}},
		{"an underscore elsewhere", AllowPublic, []Endpoint{offers("", nil, "a_b_", "_", "__class__")}, []lookup{
			{"", "", "a_b_", 0}, {"", "", "_", noMethod}, {"", "", "__class__", noMethod},
		}},
		{"an endpoint all of whose methods are hidden", AllowExposed, []Endpoint{offers("1.4", nil, "foo")}, []lookup{
			{"", "1.4", "foo", noMethod}, {"", "1.5", "foo", unsupported},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			table := NewTable(test.endpoints, WithPolicy(test.policy))
			for _, l := range test.lookups {
				checkLookup(t, table, test.endpoints, l)
			}
		})
	}
}

func TestHiddenMethodsAreNotDescribed(t *testing.T) {
	t.Parallel()
	endpoints := []Endpoint{exposing(offers("", nil, "foo", "bar", "_foobar"), "bar")}
	for policy, want := range map[Policy][]string{
		AllowAll: {"_foobar", "bar", "foo"}, AllowPublic: {"bar", "foo"}, AllowExposed: {"bar"},
	} {
		table := NewTable(endpoints, WithPolicy(policy))
		table.Endpoints(func(e Endpoint, counters map[string]*Counters) {
			same(t, "methods", slices.Sorted(maps.Keys(e.Methods)), want)
			same(t, "counters", slices.Sorted(maps.Keys(counters)), want)
		})
	}
	if len(endpoints[0].Methods) != 3 {
		t.Error("the endpoint itself was changed")
	}
	_, err := NewTable(endpoints, WithPolicy(AllowExposed)).find("", version(""), "foo")
	check(t, err, rpc.NoSuchMethod, true, `no endpoint has a method "foo"; there is bar`)
}

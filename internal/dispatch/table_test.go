package dispatch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// lookup asks for a method. An empty namespace means the default namespace, and an empty version
// means no version.
type lookup struct {
	namespace, version, method string
	endpoint                   int // that has the method, or one of:
}

const (
	unsupported = -1
	noMethod    = -2
)

func TestSelection(t *testing.T) {
	t.Parallel()
	usual := []string{"foo", "bar"}
	tagged := []Endpoint{offers("", nil, usual...), offers("", []string{"testns"}, usual...)}
	legacy := []Endpoint{offers("", []string{"testns", "second", "-"}, usual...)}
	several := []Endpoint{
		offers("2.3", []string{"n"}, "foo", "opt"),
		offers("2.5", []string{"n"}, "foo", "opt", "only_b"),
		offers("", nil, "foo"),
	}
	for _, test := range []struct {
		name      string
		endpoints []Endpoint
		lookups   []lookup
	}{
		{"no endpoints", nil, []lookup{{"", "", "foo", unsupported}}},
		{"one endpoint without a target", []Endpoint{offers("", nil, usual...)}, []lookup{
			{"", "", "foo", 0},
			{"", "1.0", "bar", 0},
			{"", "", "foobar", noMethod},
			{"", "", "", noMethod},
			{"", "", "Foo", noMethod}, // names match exactly
			{"", "1.1", "foo", unsupported},
			{"", "0.9", "foo", unsupported},
			{"", "2.0", "foo", unsupported},
			{"", "1.0.1", "foo", unsupported},
		}},
		{"namespaces are apart", tagged, []lookup{
			{"testns", "", "foo", 1},
			{"", "", "foo", 0},
			{"nstest", "", "foo", unsupported},
			{"nstest", "", "nope", unsupported},
			{"testn", "", "foo", unsupported},
		}},
		{"two major versions", []Endpoint{offers("1.5", nil, usual...), offers("3.4", nil, usual...)}, []lookup{
			{"", "3.2", "foo", 1},
			{"", "1.2", "foo", 0},
			{"", "", "foo", 0},
			{"", "3.5", "foo", unsupported},
			{"", "2.0", "foo", unsupported},
		}},
		{"too old", []Endpoint{offers("1.5", nil, usual...), offers("3.0", nil, usual...)}, []lookup{{"", "3.2", "foo", unsupported}}},
		{"a legacy namespace", []Endpoint{offers("", []string{"testns", "-"}, usual...)}, []lookup{{"", "", "foo", 0}, {"testns", "", "foo", 0}}},
		{"several legacy namespaces", legacy, []lookup{
			{"testns", "", "foo", 0},
			{"second", "", "foo", 0},
			{"", "", "bar", 0},
			{"wrong", "", "foo", unsupported},
			{"testns", "", "_foobar", noMethod},
		}},
		{"legacy namespaces with a version", []Endpoint{offers("1.2", []string{"a", "-", "b"}, "foo")}, []lookup{
			{"", "", "foo", 0}, {"a", "1.1", "foo", 0}, {"b", "1.2", "foo", 0}, {"c", "", "foo", unsupported},
		}},
		{"several endpoints: the first compatible", several, []lookup{
			{"n", "2.0", "foo", 0},
			{"n", "2.3", "foo", 0},
			{"n", "2.4", "foo", 1},
			{"n", "2.5", "foo", 1},
			{"n", "2.6", "foo", unsupported},
			{"n", "1.0", "foo", unsupported},
			{"n", "", "foo", unsupported},
			{"", "", "foo", 2},
			{"", "1.0", "foo", 2},
			{"", "1.1", "foo", unsupported},
			{"", "0.9", "foo", unsupported},
		}},
		{"several endpoints: the first that has the method", several, []lookup{
			{"n", "2.0", "only_b", 1},
			{"n", "2.5", "only_b", 1},
			{"n", "2.0", "nope", noMethod},
			{"n", "2.9", "nope", unsupported},
			{"zz", "2.0", "nope", unsupported},
		}},
		{"the same interface twice: the first has precedence", []Endpoint{
			offers("1.0", nil, "foo"), offers("1.0", nil, "foo", "bar"),
		}, []lookup{{"", "", "foo", 0}, {"", "", "bar", 1}}},
		{"versions are numbers", []Endpoint{offers("1.9", nil, "foo"), offers("1.10", nil, "foo")}, []lookup{
			{"", "1.9", "foo", 0}, {"", "1.10", "foo", 1}, {"", "1.11", "foo", unsupported},
		}},
		{"revisions count between equal minor versions", []Endpoint{offers("1.4.2", nil, "foo")}, []lookup{
			{"", "1.4.2", "foo", 0}, {"", "1.3.9", "foo", 0}, {"", "1.4.3", "foo", unsupported},
		}},
		{"an endpoint without methods", []Endpoint{offers("1.0", nil)}, []lookup{{"", "", "foo", noMethod}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			table := NewTable(test.endpoints)
			for _, l := range test.lookups {
				checkLookup(t, table, test.endpoints, l)
			}
		})
	}
}

func checkLookup(t *testing.T, table *Table, endpoints []Endpoint, l lookup) {
	t.Helper()
	got, err := table.find(l.namespace, version(l.version), l.method)
	switch l.endpoint {
	case unsupported:
		check(t, err, rpc.UnsupportedVersion, true, "version "+version(l.version).String()+" of the "+rpc.DescribeNamespace(l.namespace))
	case noMethod:
		check(t, err, rpc.NoSuchMethod, true, fmt.Sprintf("%q", l.method))
	default:
		if err != nil {
			t.Errorf("%+v: %v", l, err)
		} else if got.method != endpoints[l.endpoint].Methods[l.method] || got.counters == nil {
			t.Errorf("%+v: another method was found", l)
		}
	}
}

func TestErrorsSayWhatThereIs(t *testing.T) {
	t.Parallel()
	table := NewTable([]Endpoint{
		offers("1.5", []string{"control", "-"}, "stop", "count"),
		offers("2.0", []string{"control"}, "stop"),
		offers("1.2", []string{"control"}, "count", "drain"),
	})
	_, err := table.find("control", version("3.1"), "stop")
	check(t, err, rpc.UnsupportedVersion, true, `version 3.1 of the namespace "control" is not served; `+
		`offered is 1.5 of the namespace "control", 1.5 of the default namespace, 2.0 of the namespace "control", 1.2 of the namespace "control"`)
	_, err = table.find("", version("2.0"), "stop")
	check(t, err, rpc.UnsupportedVersion, true, "version 2.0 of the default namespace")
	_, err = table.find("control", version("1.2"), "halt")
	check(t, err, rpc.NoSuchMethod, true, `no endpoint has a method "halt"; there is count, drain, stop`)
	_, err = table.find("control", version("1.3"), "drain") // of a version that is too old
	check(t, err, rpc.NoSuchMethod, true, `no endpoint has a method "drain"; there is count, stop`)

	_, err = NewTable(nil).find("", version(""), "stop")
	check(t, err, rpc.UnsupportedVersion, true, "no endpoint is offered")
	_, err = NewTable([]Endpoint{offers("", nil)}).find("", version(""), "stop")
	check(t, err, rpc.NoSuchMethod, true, "there is none at all")
}

func TestErrorListsSomeOfManyMethods(t *testing.T) {
	t.Parallel()
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("method_%02d", i)
	}
	_, err := NewTable([]Endpoint{offers("", nil, names...)}).find("", version(""), "other")
	e := check(t, err, rpc.NoSuchMethod, true, "method_00, ", "method_19, …")
	if strings.Contains(e.Message, "method_20") {
		t.Errorf("too many are listed: %s", e.Message)
	}
}

func TestTableListsWhatItServes(t *testing.T) {
	t.Parallel()
	table := NewTable([]Endpoint{
		offers("1.2", []string{"a", "-"}, "foo"),
		offers("2.0", []string{"a"}, "foo"),
		offers("1.2", []string{"a"}, "bar"), // the same interface again
	})
	same(t, "implemented", table.Implemented(), []rpc.Implementation{
		{Namespace: "a", Version: version("1.2")}, {Version: version("1.2")}, {Namespace: "a", Version: version("2.0")},
	})

	var visited []string
	table.Endpoints(func(e Endpoint, counters map[string]*Counters) {
		visited = append(visited, e.Version.String())
		if len(counters) != len(e.Methods) {
			t.Errorf("%d methods have %d counters", len(e.Methods), len(counters))
		}
	})
	same(t, "endpoints", visited, []string{"1.2", "2.0", "1.2"})
}

func TestMethodsOfOneNameAreCountedApart(t *testing.T) {
	t.Parallel()
	table := NewTable([]Endpoint{offers("1.0", nil, "foo"), offers("2.0", nil, "foo")})
	first, _ := table.find("", version("1.0"), "foo")
	second, _ := table.find("", version("2.0"), "foo")
	if first.counters == second.counters {
		t.Error("they share counters")
	}
	if again, _ := table.find("", version("1.0"), "foo"); again.counters != first.counters {
		t.Error("a method has other counters the second time")
	}
}

package conformance

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// open opens a transport for tests that need no other program.
func open(t *testing.T) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open("memory://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// given returns the fields of a target that are set, by their names in oslo.messaging.
func given(target oslorpc.Target) map[string]any {
	fields := map[string]any{}
	for field, value := range reflect.ValueOf(target).Fields() {
		if !value.IsZero() {
			fields[strings.ToLower(field.Name)] = value.Interface()
		}
	}
	return fields
}

// A client has exactly the fields that its target sets.
func TestTarget(t *testing.T) {
	type test struct {
		row

		target oslorpc.Target
		want   map[string]any
	}
	each(t, "T", 7, nil, []test{
		{row{id: "T1"}, oslorpc.Target{}, map[string]any{}},
		{row{id: "T2"}, oslorpc.Target{Exchange: "testexchange"}, map[string]any{"exchange": "testexchange"}},
		{row{id: "T3"}, oslorpc.Target{Topic: "testtopic"}, map[string]any{"topic": "testtopic"}},
		{row{id: "T4"}, oslorpc.Target{Namespace: "testnamespace"}, map[string]any{"namespace": "testnamespace"}},
		{row{id: "T5"}, oslorpc.Target{Version: "3.4"}, map[string]any{"version": "3.4"}},
		{row{id: "T6"}, oslorpc.Target{Server: "testserver"}, map[string]any{"server": "testserver"}},
		{row{id: "T7"}, oslorpc.Target{Fanout: true}, map[string]any{"fanout": true}},
	}, func(t *testing.T, test test) {
		if got := given(open(t).Client(test.target).Target()); !maps.Equal(got, test.want) {
			t.Errorf("got %v, want %v", got, test.want)
		}
	})
}

// Targets are derived by preparing a client. The table of what is sent covers an override with
// "none".
func TestTargetDerivation(t *testing.T) {
	type test struct {
		row

		base     oslorpc.Target
		override []oslorpc.ClientOption
		want     map[string]any
	}
	with := func(o oslorpc.ClientOption) []oslorpc.ClientOption { return []oslorpc.ClientOption{o} }
	exchange, topic := map[string]any{"exchange": "testexchange"}, map[string]any{"topic": "testtopic"}
	namespace, version := map[string]any{"namespace": "testnamespace"}, map[string]any{"version": "3.4"}
	server, fanout := map[string]any{"server": "testserver"}, map[string]any{"fanout": true}
	each(t, "TD", 13, nil, []test{
		{row{id: "TD1"}, oslorpc.Target{}, nil, map[string]any{}},
		{row{id: "TD2"}, oslorpc.Target{Exchange: "testexchange"}, nil, exchange},
		{row{id: "TD3"}, oslorpc.Target{}, with(oslorpc.WithExchange("testexchange")), exchange},
		{row{id: "TD4"}, oslorpc.Target{Topic: "testtopic"}, nil, topic},
		{row{id: "TD5"}, oslorpc.Target{}, with(oslorpc.WithTopic("testtopic")), topic},
		{row{id: "TD6"}, oslorpc.Target{Namespace: "testnamespace"}, nil, namespace},
		{row{id: "TD7"}, oslorpc.Target{}, with(oslorpc.WithNamespace("testnamespace")), namespace},
		{row{id: "TD8"}, oslorpc.Target{Version: "3.4"}, nil, version},
		{row{id: "TD9"}, oslorpc.Target{}, with(oslorpc.WithVersion("3.4")), version},
		{row{id: "TD10"}, oslorpc.Target{Server: "testserver"}, nil, server},
		{row{id: "TD11"}, oslorpc.Target{}, with(oslorpc.WithServer("testserver")), server},
		{row{id: "TD12"}, oslorpc.Target{Fanout: true}, nil, fanout},
		{row{id: "TD13"}, oslorpc.Target{}, with(oslorpc.WithFanout(true)), fanout},
	}, func(t *testing.T, test test) {
		base := open(t).Client(test.base)
		if got := given(base.Prepare(test.override...).Target()); !maps.Equal(got, test.want) {
			t.Errorf("got %v, want %v", got, test.want)
		}
		if base.Target() != test.base {
			t.Errorf("the base became %v", base.Target())
		}
	})
}

func TestTargetText(t *testing.T) {
	type test struct {
		row

		target oslorpc.Target
		want   string
	}
	each(t, "TR", 10, nil, []test{
		{row{id: "TR1"}, oslorpc.Target{}, "<Target >"},
		{row{id: "TR2"}, oslorpc.Target{Exchange: "testexchange"}, "<Target exchange=testexchange>"},
		{row{id: "TR3"}, oslorpc.Target{Topic: "testtopic"}, "<Target topic=testtopic>"},
		{row{id: "TR4"}, oslorpc.Target{Namespace: "testnamespace"}, "<Target namespace=testnamespace>"},
		{row{id: "TR5"}, oslorpc.Target{Version: "3.4"}, "<Target version=3.4>"},
		{row{id: "TR6"}, oslorpc.Target{Server: "testserver"}, "<Target server=testserver>"},
		{row{id: "TR7"}, oslorpc.Target{Fanout: true}, "<Target fanout=True>"},
		{row{id: "TR8"}, oslorpc.Target{Exchange: "testexchange", Fanout: true}, "<Target exchange=testexchange, fanout=True>"},
		{
			row{id: "TR9"}, oslorpc.Target{Exchange: "", Topic: "t", Version: "1.0", Server: "s", Fanout: false},
			"<Target topic=t, version=1.0, server=s>",
		},
		{
			row{id: "TR10"},
			oslorpc.Target{Exchange: "e", Topic: "t", Namespace: "n", Version: "1.0", Server: "s", Fanout: true},
			"<Target exchange=e, topic=t, namespace=n, version=1.0, server=s, fanout=True>",
		},
	}, func(t *testing.T, test test) {
		if got := test.target.String(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	})
}

// entry is a value that oslo.messaging's table of equality gives to a field: a distinct object,
// None, or a text.
type entry struct{ name, text string }

var entries = []entry{{"object", "object"}, {"none", ""}, {"empty", ""}, {"foo", "foo"}, {"bar", "bar"}}

const (
	emptyIsNone = "upstream distinguishes an empty name from None; here both mean `not given`, because an empty name can only be a mistake"
	fanoutIsYes = "upstream takes any value for fanout; here it is a bool, so there is only yes and no"
)

// In oslo.messaging, targets that differ in one field are equal if and only if the field's values
// are the same entry. There are 25 pairs for each field.
func TestTargetEquality(t *testing.T) {
	for _, field := range []string{"Exchange", "Topic", "Namespace", "Version", "Server", "Fanout"} {
		for _, a := range entries {
			for _, b := range entries {
				r := row{id: fmt.Sprintf("EQ-%s-%s-%s", strings.ToLower(field), a.name, b.name)}
				want := a == b
				switch {
				case want:
				case a.text == b.text:
					want, r.because = true, emptyIsNone
				case field == "Fanout" && a.text != "" && b.text != "":
					want, r.because = true, fanoutIsYes
				}
				one(t, r, func(t *testing.T) {
					if got := with(field, a) == with(field, b); got != want {
						t.Errorf("equal is %v, want %v", got, want)
					}
				})
			}
		}
	}
}

// with returns a target with one field set. Any text sets fanout to true.
func with(field string, e entry) oslorpc.Target {
	var target oslorpc.Target
	f := reflect.ValueOf(&target).Elem().FieldByName(field)
	if f.Kind() == reflect.Bool {
		f.SetBool(e.text != "")
	} else {
		f.SetString(e.text)
	}
	return target
}

func TestTargetEqualityExtra(t *testing.T) {
	const elsewhere = "upstream's targets carry legacy namespaces, which makes copies differ; here only endpoints have them, since only endpoints use them"
	type test struct {
		row

		check func() bool
	}
	noLegacy := func() bool {
		n := oslorpc.Target{Namespace: "n"}
		m := map[oslorpc.Target]bool{n: true}
		return reflect.TypeFor[oslorpc.Target]().NumField() == 6 && m[oslorpc.Target{Namespace: "n"}]
	}
	endpointHasThem := func() bool {
		_, has := reflect.TypeFor[oslorpc.Endpoint]().FieldByName("LegacyNamespaces")
		return has
	}
	each(t, "EQX", 4, nil, []test{
		{row{"EQX1", emptyIsNone}, func() bool { return oslorpc.Target{} == oslorpc.Target{Fanout: false} }},
		{row{"EQX2", elsewhere}, func() bool { return noLegacy() && endpointHasThem() }},
		{row{"EQX3", elsewhere}, noLegacy},
		{row{"EQX4", elsewhere}, func() bool {
			target := oslorpc.Target{Topic: "t", Namespace: "n"}
			return open(t).Client(target).Prepare().Target() == target
		}},
	}, func(t *testing.T, test test) {
		if !test.check() {
			t.Error("the condition of the row does not hold")
		}
	})
}

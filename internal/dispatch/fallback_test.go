package dispatch

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/internal/phase"
)

// withFallback gives an endpoint a fallback that returns the name of the called method.
func withFallback(e Endpoint) Endpoint {
	e.Fallback = plain(func(ctx context.Context, emit Emit) error {
		info := MessageFrom(ctx)
		return emit(`"` + info.Method + `"`)
	})
	return e
}

func exposed(e Endpoint) Endpoint {
	e.Fallback.Exposed = true
	return e
}

func TestSelectionOfFallbacks(t *testing.T) {
	t.Parallel()
	// A lookup that begins with ">" names a method that must reach the fallback.
	proxy := func(v string, namespaces []string, methods ...string) Endpoint {
		return withFallback(offers(v, namespaces, methods...))
	}
	before := []Endpoint{offers("1.5", nil, "foo"), proxy("1.2", nil, "bar"), offers("1.5", nil, "bar", "baz")}
	marked := exposing(exposed(proxy("", nil, "foo", "bar", "_baz")), "bar")
	for _, test := range []struct {
		name      string
		policy    Policy
		endpoints []Endpoint
		lookups   []lookup
	}{
		{"alone", AllowPublic, []Endpoint{proxy("1.2", []string{"n"})}, []lookup{
			{"n", "1.1", ">foo", 0}, {"n", "1.2", ">bar", 0}, {"n", "1.3", "foo", unsupported}, {"", "1.1", "foo", unsupported},
			{"n", "1.1", "_foo", noMethod},
		}},
		{"in its place", AllowPublic, before, []lookup{
			{"", "", "foo", 0}, {"", "", "bar", 1}, {"", "", ">baz", 1}, {"", "", ">other", 1},
			{"", "1.3", "bar", 2}, {"", "1.3", "other", noMethod}, {"", "", "_other", noMethod},
		}},
		{"private names with all", AllowAll, []Endpoint{proxy("", nil, "_foo")}, []lookup{{"", "", ">_bar", 0}, {"", "", "_foo", 0}}},
		{"hidden names stay hidden", AllowPublic, []Endpoint{proxy("", nil, "_foo"), offers("", nil, "_foo")}, []lookup{{"", "", "_foo", noMethod}}},
		{"not exposed", AllowExposed, []Endpoint{proxy("", nil, "foo"), exposing(offers("", nil, "bar"), "bar")}, []lookup{
			{"", "", "foo", noMethod}, {"", "", "other", noMethod}, {"", "", "bar", 1},
		}},
		{"exposed", AllowExposed, []Endpoint{marked}, []lookup{
			{"", "", "bar", 0}, {"", "", ">other", 0}, {"", "", "foo", noMethod}, {"", "", "_baz", noMethod}, {"", "", "_other", noMethod},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			table := NewTable(test.endpoints, WithPolicy(test.policy))
			for _, l := range test.lookups {
				if l.method[0] == '>' {
					checkFallback(t, table, test.endpoints, l)
				} else {
					checkLookup(t, table, test.endpoints, l)
				}
			}
		})
	}
}

func checkFallback(t *testing.T, table *Table, endpoints []Endpoint, l lookup) {
	t.Helper()
	got, err := table.find(l.namespace, version(l.version), l.method[1:])
	if err != nil || got.method != endpoints[l.endpoint].Fallback || got.counters == nil {
		t.Errorf("%+v: the fallback was not found: %v", l, err)
	}
}

func TestFallbackLearnsWhatItWasAskedFor(t *testing.T) {
	t.Parallel()
	s := New(Config{Name: "net1", Table: NewTable([]Endpoint{withFallback(offers("", nil, "foo"))}), Limits: DefaultLimits, Phase: phase.Opened(), Log: newLog(t.Output())})
	defer func() { _ = s.Stop(t.Context()) }()
	for method, want := range map[string]string{"foo": "null", "bar": `"bar"`, "baz": `"baz"`} {
		items, err := call(t.Context(), s, request(method, ""))
		if err != nil {
			t.Error(err)
		}
		same(t, method, items, []string{want})
	}
	if n, _ := counts(s, ""); n != 2 {
		t.Errorf("the fallback counts %d messages, want 2", n)
	}
	if n, _ := counts(s, "foo"); n != 1 {
		t.Errorf("the method counts %d messages, want 1", n)
	}
}

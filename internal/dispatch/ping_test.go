package dispatch

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/discovery"

	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const added = 100 // the "endpoint" of the ping method that was added

func TestSelectionOfPing(t *testing.T) {
	t.Parallel()
	own := offers("", nil, discovery.PingMethod)
	for _, test := range []struct {
		name      string
		policy    Policy
		endpoints []Endpoint
		lookups   []lookup
	}{
		{"no endpoints", AllowPublic, nil, []lookup{{"", "", discovery.PingMethod, added}, {"", "", "foo", unsupported}}},
		{"an endpoint has it", AllowPublic, []Endpoint{own}, []lookup{{"", "", discovery.PingMethod, 0}}},
		{"the first of two has it", AllowPublic, []Endpoint{own, offers("", nil, "foo")}, []lookup{{"", "", discovery.PingMethod, 0}, {"", "", "foo", 1}}},
		{"the last of two has it, at a later version", AllowPublic, []Endpoint{offers("", nil, "foo"), offers("1.3", nil, discovery.PingMethod)}, []lookup{
			{"", "", discovery.PingMethod, 1}, {"", "1.3", discovery.PingMethod, 1},
		}},
		{"an endpoint has it elsewhere", AllowPublic, []Endpoint{offers("", []string{"n"}, discovery.PingMethod), offers("2.0", nil, discovery.PingMethod)}, []lookup{
			{"", "", discovery.PingMethod, added}, {"n", "", discovery.PingMethod, 0}, {"", "2.0", discovery.PingMethod, 1}, {"", "1.1", discovery.PingMethod, added},
		}},
		{"other versions and namespaces", AllowPublic, []Endpoint{offers("", nil, "foo")}, []lookup{
			{"", "1.0", discovery.PingMethod, added},
			{"", "1.1", discovery.PingMethod, added},
			{"", "2.0", discovery.PingMethod, added},
			{"x", "", discovery.PingMethod, unsupported},
		}},
		{"exposed methods only", AllowExposed, []Endpoint{offers("", nil, "foo", discovery.PingMethod)}, []lookup{
			{"", "", discovery.PingMethod, added}, {"", "", "foo", noMethod},
		}},
		{"what else is refused", AllowPublic, []Endpoint{offers("2.0", nil, "foo")}, []lookup{
			{"", "1.0", discovery.PingMethod, added}, {"", "1.0", "foo", unsupported}, {"", "2.0", discovery.PingMethod, added},
		}},
		{"a fallback", AllowPublic, []Endpoint{withFallback(offers("1.1", nil))}, []lookup{{"", "", discovery.PingMethod, added}, {"", "1.1", discovery.PingMethod, added}}},
		{"a fallback before an endpoint that has it", AllowPublic, []Endpoint{withFallback(offers("", nil)), own}, []lookup{{"", "", discovery.PingMethod, 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			table := NewTable(test.endpoints, WithPolicy(test.policy), WithPing())
			for _, l := range test.lookups {
				if l.endpoint != added {
					checkLookup(t, table, test.endpoints, l)
					continue
				}
				got, err := table.find(l.namespace, version(l.version), l.method)
				if err != nil || table.ping == nil || got.method != table.ping.Methods[discovery.PingMethod] || got.counters == nil {
					t.Errorf("%+v: got %+v, %v", l, got, err)
				}
			}
		})
	}
}

// A ping is for this server, even if the server answers no pings. No fallback forwards it.
func TestNoFallbackGetsAPing(t *testing.T) {
	t.Parallel()
	endpoints := []Endpoint{withFallback(offers("1.1", nil)), withFallback(offers("1.0", []string{"n"}))}
	table := NewTable(endpoints, WithPolicy(AllowAll))
	for _, l := range []lookup{
		{"", "", discovery.PingMethod, noMethod}, {"", "1.1", discovery.PingMethod, noMethod}, {"", "2.0", discovery.PingMethod, unsupported},
	} {
		checkLookup(t, table, endpoints, l)
	}
	checkFallback(t, table, endpoints, lookup{"n", "", ">" + discovery.PingMethod, 1}) // it is no ping there
}

func TestPingIsNothingThatIsImplemented(t *testing.T) {
	t.Parallel()
	endpoints := []Endpoint{offers("2.0", nil, "foo")}
	table := NewTable(endpoints, WithPing())
	same(t, "implemented", table.Implemented(), []rpc.Implementation{{Version: version("2.0")}})
	var described []string
	table.Endpoints(func(e Endpoint, _ map[string]*Counters) {
		for name := range e.Methods {
			described = append(described, e.Version.String()+" "+name)
		}
	})
	same(t, "described", described, []string{"2.0 foo", "1.0 " + discovery.PingMethod})
	if len(endpoints) != 1 || len(endpoints[0].Methods) != 1 {
		t.Error("the list of endpoints was changed")
	}
}

func TestPingTakesAnyArguments(t *testing.T) {
	t.Parallel()
	s := New(Config{Name: "net1", Table: NewTable(nil, WithPing()), Limits: DefaultLimits, Phase: phase.Opened(), Log: newLog(t.Output())})
	defer func() { _ = s.Stop(t.Context()) }()
	for _, kwargs := range []string{`{}`, `{"a":[1],"b":null}`} {
		items, err := call(t.Context(), s, &Request{Method: discovery.PingMethod, Version: version(""), Kwargs: kwargs})
		if err != nil {
			t.Error(err)
		}
		same(t, kwargs, items, []string{`"pong"`})
	}
	if n, _ := counts(s, discovery.PingMethod); n != 2 {
		t.Errorf("%d are counted, want 2", n)
	}
}

package upgrade

import (
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	deprecating := func(o Observation) Observation {
		return offering(o, rpc.EndpointInfo{Namespaces: []string{""}, Version: ver("1.1"), Methods: []rpc.MethodInfo{
			{Name: "m", DeprecatedSince: ver("1.1")},
		}})
	}
	for _, test := range []struct {
		name, to string
		seen     []Observation
		want     Verdict
		reasons  string
	}{
		{"all serve it", "1.1", []Observation{answered(active("a", "1.1")), answered(instance("b", rpc.StateHeld, "1.2"))}, Safe, ""},
		{"1.10 is later than 1.9", "1.9", []Observation{answered(active("a", "1.10"))}, Safe, ""},
		{"one is older", "1.1", []Observation{answered(active("a", "1.1")), answered(active("b", "1.0"))}, NotYet, "1 server does not serve 1.1"},
		{"two are of another major version", "2.0", []Observation{answered(active("a", "1.1")), answered(active("b", "3.0"))}, NotYet,
			"2 servers do not serve 2.0"},
		{"one of several endpoints serves it", "2.0", []Observation{answered(active("a", "1.9,2.1"))}, Safe, ""},
		{"one implements something else", "1.1", []Observation{answered(active("a", "1.1")), answered(active("b", "control=1.0"))}, Safe, ""},
		{"an older one drains", "1.1", []Observation{answered(active("a", "1.1")), answered(instance("b", rpc.StateDraining, "1.0"))}, Safe, ""},
		{"an older request", "1.1", []Observation{answered(active("a", "1.1"), asked("m", "1.0"))}, Safe, ""},
		{"later requests of one caller", "1.1", []Observation{answered(active("a", "1.2"), asked("m", "1.2"), asked("n", "1.2"))}, NotYet,
			"1 caller asked for what 1.1 does not serve"},
		{"requests of the earlier major version", "2.0", []Observation{
			answered(active("a", "1.9,2.0"), asked("m", "1.3")), answered(active("b", "1.9,2.0"), from("d", asked("m", "1.3"))),
		}, NotYet, "2 callers asked for what 2.0 does not serve"},
		{"one of a caller without proof, where others prove", "2.0", []Observation{
			answered(active("a", "2.0"), proved("dns:b", asked("m", "2.0")), from("forged", asked("m", "1.3"))),
		}, Safe, ""},
		{"one of a caller with proof", "2.0", []Observation{
			answered(active("a", "2.0"), proved("dns:b", asked("m", "1.3")), from("forged", asked("m", "1.3"))),
		}, NotYet, "1 caller asked for what 2.0 does not serve"},
		{"one of callers that proved names, and that had no rows left", "2.0", []Observation{
			answered(active("a", "2.0"), proved("(others)", from("(others)", asked("m", "1.3")))),
		}, NotYet, "1 caller asked for what 2.0 does not serve"},
		{"a request in another namespace", "2.0", []Observation{answered(active("a", "2.0"), in("control", asked("m", "1.3")))}, Safe, ""},
		{"a ping", "2.0", []Observation{answered(active("a", "2.0"), asked(discovery.PingMethod, "1.0"))}, Safe, ""},
		{"a request to a draining server", "2.0", []Observation{
			answered(active("a", "2.0")), answered(instance("b", rpc.StateDraining, "1.0"), asked("m", "1.0")),
		}, NotYet, "1 caller asked for what 2.0 does not serve"},
		{"a request for a deprecated method", "1.1", []Observation{deprecating(answered(active("a", "1.1"), asked("m", "1.0")))}, Safe, ""},
		{"no server at all", "1.1", nil, CannotTell, "no server is known to implement the default namespace"},
		{"no server implements it", "1.1", []Observation{answered(active("a", "control=1.1"))}, CannotTell,
			"no server is known to implement the default namespace"},
		{"one does not report", "1.1", []Observation{answered(active("a", "1.1")), answered(instance("s", "", ""))}, CannotTell,
			"1 server does not report what is implemented"},
		{"one does not answer", "1.1", []Observation{answered(active("a", "1.1")), unanswered(active("b", "1.1"))}, CannotTell,
			"1 server did not answer"},
		{"two do not answer and one is older", "1.1", []Observation{unanswered(active("a", "1.0")), unanswered(active("b", "1.1"))}, NotYet,
			"1 server does not serve 1.1; 2 servers did not answer"},
		{"not all was counted", "1.1", []Observation{uncounted(3, answered(active("a", "1.1")))}, CannotTell, "uncounted by version: 3 messages"},
		{"not all was counted, and one is older", "1.1", []Observation{uncounted(1, answered(active("a", "1.0")))}, NotYet,
			"1 server does not serve 1.1; uncounted by version: 1 message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := Check(rpc.Implementation{Version: ver(test.to)}, test.seen)
			if f.Verdict() != test.want || f.Reasons() != test.reasons {
				t.Errorf("got %s, %q", f.Verdict(), f.Reasons())
			}
		})
	}
}

// A check classifies servers and requests by their meaning for the goal.
func TestFindings(t *testing.T) {
	t.Parallel()
	old := answered(active("old", "control=1.0"), in("control", asked("read", "1.0")), in("control", asked("list", "2.1")))
	late := offering(upFor(time.Second, answered(active("late", "control=2.1"), in("control", asked("list", "2.0")))),
		rpc.EndpointInfo{Namespaces: []string{"control"}, Version: ver("2.1"), DeprecatedSince: ver("2.1"), Methods: []rpc.MethodInfo{{Name: "list"}}})
	f := Check(rpc.Implementation{Namespace: "control", Version: ver("2.1")}, []Observation{old, late, answered(instance("static", "", "")), unanswered(active("deaf", "x=1.0"))})
	if f.Servers != 2 || servers(f.Behind) != "old" || servers(f.Unreported) != "static" || len(f.Unanswered) != 1 || f.Unanswered[0].Instance.Server != "deaf" {
		t.Errorf("the servers are %+v", f)
	}
	if len(f.Callers) != 1 || f.Callers[0].Method != "read" || len(f.Deprecated) != 2 || f.Deprecated[0].Version != ver("2.0") {
		t.Errorf("the requests are %+v and %+v", f.Callers, f.Deprecated)
	}
	if f.Observed != time.Second || f.Youngest != "late" {
		t.Errorf("callers were observed for %s, since %s started", f.Observed, f.Youngest)
	}
}

// The server that started last determines for how long requests were counted. A server that did not
// answer does not count.
func TestObservedTime(t *testing.T) {
	t.Parallel()
	goal := rpc.Implementation{Version: ver("1.0")}
	f := Check(goal, []Observation{
		upFor(time.Hour, answered(active("a", "1.0"))), upFor(59600*time.Millisecond, answered(active("b", "1.0"))), unanswered(active("c", "1.0")),
	})
	if f.Observed != time.Minute || f.Youngest != "b" {
		t.Errorf("got %s, since %s started", f.Observed, f.Youngest)
	}
	if f := Check(goal, []Observation{unanswered(active("c", "1.0"))}); f.Observed != 0 || f.Youngest != "" {
		t.Errorf("got %s, since %s started", f.Observed, f.Youngest)
	}
}

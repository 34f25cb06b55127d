package upgrade

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func requestLine(r Request) string {
	return fmt.Sprintf("%s|%s|%s|%s|%d|%d|%s|%s|%s", r.Namespace, r.Method, r.Version, r.Caller, r.Accepted, r.Refused,
		r.FirstSeen.Format(time.TimeOnly), r.LastSeen.Format(time.TimeOnly), r.DeprecatedSince)
}

func TestRequestsAreAddedUp(t *testing.T) {
	t.Parallel()
	old := offering(
		answered(active("old", "1.9"), counted(0, 1, 30, 40, asked("get", "1.10")), counted(2, 1, 10, 20, asked("get", "1.9")),
			counted(1, 0, 1, 1, asked("list", "1.0"))),
		rpc.EndpointInfo{Namespaces: []string{""}, Version: ver("1.9"), Methods: []rpc.MethodInfo{
			{Name: "get"}, {Name: "list", DeprecatedSince: ver("1.1")},
		}})
	late := offering(
		answered(active("late", "1.10"), counted(3, 0, 5, 15, asked("get", "1.9")), counted(1, 0, 5, 5, from("b", asked("get", "1.9"))),
			counted(1, 0, 1, 1, in("control", asked("x", "2.0")))),
		rpc.EndpointInfo{Namespaces: []string{""}, Version: ver("1.10"), Methods: []rpc.MethodInfo{
			{Name: "get", DeprecatedSince: ver("1.10")}, {Name: "list"},
		}})
	proxy := offering(uncounted(7, answered(active("proxy", "control=2.1"))),
		rpc.EndpointInfo{Namespaces: []string{"control"}, Version: ver("2.1"), Fallback: &rpc.MethodInfo{}, DeprecatedSince: ver("2.1")})
	requests := RequestsOf([]Observation{old, late, proxy, unanswered(active("deaf", "1.0"))})
	want := []string{
		"|get|1.9|b|1|0|03:04:10|03:04:10|1.10",
		"|get|1.9|c|5|1|03:04:10|03:04:25|1.10",
		"|get|1.10|c|0|1|03:04:35|03:04:45|1.10",
		"|list|1.0|c|1|0|03:04:06|03:04:06|0.0",
		"control|x|2.0|c|1|0|03:04:06|03:04:06|2.1",
	}
	var got []string
	for _, r := range requests.List {
		got = append(got, requestLine(r))
	}
	if !slices.Equal(got, want) || requests.Uncounted != 7 {
		t.Errorf("got %q and %d, want %q", got, requests.Uncounted, want)
	}
}

func TestOutdatedRequests(t *testing.T) {
	t.Parallel()
	newest := NewestOf([]rpc.Instance{active("a", "2.0,2.3.1,control=1.0"), active("b", "2.1")})
	for _, test := range []struct {
		count      rpc.RequestCount
		deprecated string
		want       bool
	}{
		{asked("m", "2.2"), "0.0", true},
		{asked("m", "2.3"), "0.0", false},
		{asked("m", "2.3"), "2.3", true},
		{asked("m", "2.4"), "0.0", false},
		{asked("m", "1.9"), "0.0", true},
		{asked("m", "3.0"), "0.0", false},
		{in("control", asked("m", "1.0")), "0.0", false},
		{in("other", asked("m", "1.0")), "0.0", false},
		{asked(discovery.PingMethod, "1.0"), "0.0", false},
		{asked(discovery.PingMethod, "1.0"), "1.0", false},
		{in("other", asked(discovery.PingMethod, "1.0")), "1.0", true},
	} {
		requests := Requests{List: []Request{{RequestCount: test.count, DeprecatedSince: ver(test.deprecated)}}}
		if got := requests.Outdated(newest); (len(got) == 1) != test.want {
			t.Errorf("%+v: got %+v", test, got)
		}
	}
}

// If several versions of a server counted a message, the newest of them decides whether it is
// deprecated.
func TestNewestEndpointDecidesWhatIsDeprecated(t *testing.T) {
	t.Parallel()
	endpoint := func(version, since string) Observation {
		e := rpc.EndpointInfo{Namespaces: []string{"", "n"}, Version: ver(version), Methods: []rpc.MethodInfo{{Name: "m", DeprecatedSince: ver(since)}}}
		return offering(answered(active("s"+version, version)), e)
	}
	seen := []Observation{endpoint("1.2", "0.0"), endpoint("1.3", "1.3"), endpoint("1.1", "0.0"), endpoint("2.0", "0.0")}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}} {
		var list []Observation
		for _, n := range order {
			list = append(list, seen[n])
		}
		list = append(list, answered(active("x", "1.0"), asked("m", "1.0"), in("n", asked("m", "1.0")), asked("m", "2.0"), asked("other", "1.0")))
		var got []string
		for _, r := range RequestsOf(list).List {
			got = append(got, r.DeprecatedSince.String())
		}
		if want := []string{"1.3", "0.0", "0.0", "1.3"}; !slices.Equal(got, want) {
			t.Errorf("in the order %v: got %q, want %q", order, got, want)
		}
	}
}

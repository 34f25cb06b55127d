package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// count returns how often a caller asked for a method, first and last so many seconds after the epoch.
func count(namespace, method, version, caller string, accepted, refused int64, first, last int) rpc.RequestCount {
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	return rpc.RequestCount{
		Namespace: namespace, Method: method, Version: ver(version), Caller: caller, Accepted: accepted, Refused: refused,
		FirstSeen: at(first), LastSeen: at(last),
	}
}

// ver returns the version that a text is.
func ver(text string) rpc.Version {
	v, err := rpc.ParseVersion(text)
	if err != nil {
		panic(err)
	}
	return v
}

// offering adds an endpoint to what a server says.
func offering(o observation, e rpc.EndpointInfo) observation {
	s := &o.info.Servers[0]
	s.Endpoints = append(s.Endpoints, e)
	return o
}

func uncounted(o observation, n int64) observation {
	o.info.Servers[0].Uncounted = n
	return o
}

func TestCheck(t *testing.T) {
	t.Parallel()
	seen := func(server, state, versions string, counts ...rpc.RequestCount) observation {
		return seenFor(instanceOf(t, server, state, versions), time.Minute, counts...)
	}
	deaf := func(server, versions string) observation {
		return observation{instance: instanceOf(t, server, "active", versions), err: oslorpc.Unreachable}
	}
	deprecating := func(o observation) observation {
		return offering(o, rpc.EndpointInfo{Namespaces: []string{""}, Version: ver("1.1"), Methods: []rpc.MethodInfo{{Name: "m", DeprecatedSince: ver("1.1")}}})
	}
	for _, test := range []struct {
		name, to string
		seen     []observation
		code     int
		reasons  string
	}{
		{"all serve it", "1.1", []observation{seen("a", "active", "1.1"), seen("b", "held", "1.2")}, 0, ""},
		{"1.10 is later than 1.9", "1.9", []observation{seen("a", "active", "1.10")}, 0, ""},
		{"one is older", "1.1", []observation{seen("a", "active", "1.1"), seen("b", "active", "1.0")}, 1, "1 server does not serve 1.1"},
		{"two are of another major version", "2.0", []observation{seen("a", "active", "1.1"), seen("b", "active", "3.0")}, 1, "2 servers do not serve 2.0"},
		{"one of several endpoints serves it", "2.0", []observation{seen("a", "active", "1.9,2.1")}, 0, ""},
		{"one implements something else", "1.1", []observation{seen("a", "active", "1.1"), seen("b", "active", "control=1.0")}, 0, ""},
		{"an older one drains", "1.1", []observation{seen("a", "active", "1.1"), seen("b", "draining", "1.0")}, 0, ""},
		{"an older request", "1.1", []observation{seen("a", "active", "1.1", count("", "m", "1.0", "c", 9, 0, 1, 2))}, 0, ""},
		{"a later request", "1.1", []observation{seen("a", "active", "1.2", count("", "m", "1.2", "c", 1, 0, 1, 2), count("", "n", "1.2", "c", 1, 0, 1, 2))}, 1,
			"1 caller asked for what 1.1 does not serve"},
		{"requests of the earlier major version", "2.0", []observation{
			seen("a", "active", "1.9,2.0", count("", "m", "1.3", "c", 1, 0, 1, 2)), seen("b", "active", "1.9,2.0", count("", "m", "1.3", "d", 0, 1, 1, 2)),
		}, 1, "2 callers asked for what 2.0 does not serve"},
		{"a request in another namespace", "2.0", []observation{seen("a", "active", "2.0", count("control", "m", "1.3", "c", 1, 0, 1, 2))}, 0, ""},
		{"a ping", "2.0", []observation{seen("a", "active", "2.0", count("", oslorpc.PingMethod, "1.0", "c", 1, 0, 1, 2))}, 0, ""},
		{"a request to one that drains", "2.0", []observation{
			seen("a", "active", "2.0"), seen("b", "draining", "1.0", count("", "m", "1.0", "c", 1, 0, 1, 2)),
		}, 1, "1 caller asked for what 2.0 does not serve"},
		{"a request for what is deprecated", "1.1", []observation{deprecating(seen("a", "active", "1.1", count("", "m", "1.0", "c", 1, 0, 1, 2)))}, 0, ""},
		{"nobody implements it", "1.1", []observation{seen("a", "active", "control=1.1")}, 2, "no server is known to implement the null namespace"},
		{"one does not say", "1.1", []observation{seen("a", "active", "1.1"), seen("s", "", "")}, 2, "1 server does not say what is implemented"},
		{"one cannot be asked", "1.1", []observation{seen("a", "active", "1.1"), deaf("b", "1.1")}, 2, "1 server could not be asked"},
		{"two cannot be asked and one is older", "1.1", []observation{deaf("a", "1.0"), deaf("b", "1.1")}, 1,
			"1 server does not serve 1.1; 2 servers could not be asked"},
		{"not all was counted", "1.1", []observation{uncounted(seen("a", "active", "1.1"), 3)}, 2, "uncounted by version: 3 messages"},
		{"not all was counted, and one is older", "1.1", []observation{uncounted(seen("a", "active", "1.0"), 1)}, 1,
			"1 server does not serve 1.1; uncounted by version: 1 message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &checking{to: test.to}
			to, err := c.plan()
			if err != nil {
				t.Fatal(err)
			}
			f := check(to, test.seen)
			if f.code() != test.code || f.reasons() != test.reasons {
				t.Errorf("got %d, %q", f.code(), f.reasons())
			}
			if err := f.verdict(); (err == nil) != (test.code == 0) || (err != nil && exitCode(err) != test.code) {
				t.Errorf("the verdict is %v", err)
			}
			var text bytes.Buffer
			f.write(&text)
			if safe := strings.HasPrefix(text.String(), "safe: "); safe != (test.code == 0) {
				t.Errorf("it prints %s", text.String())
			}
			if strings.Contains(text.String(), "Warning") != strings.Contains(test.name, "deprecated") {
				t.Errorf("it prints %s", text.String())
			}
		})
	}
}

func TestCheckTellsForHowLongCallersWereCounted(t *testing.T) {
	t.Parallel()
	f := check(plan{to: oslorpc.Version{Major: 1}}, []observation{
		seenFor(instanceOf(t, "a", "active", "1.0"), time.Hour), seenFor(instanceOf(t, "b", "active", "1.0"), time.Minute),
	})
	var text bytes.Buffer
	f.write(&text)
	want := "safe: all 2 servers serve 1.0 of the null namespace, and no caller asked for what it does not serve\n" +
		"Callers were counted for 1m0s, since b started.\n"
	if text.String() != want {
		t.Errorf("got %s", text.String())
	}
}

func TestRequestsAreAddedUp(t *testing.T) {
	t.Parallel()
	old := offering(
		seenFor(instanceOf(t, "old", "active", "1.9"), time.Minute,
			count("", "get", "1.10", "c", 0, 1, 30, 40), count("", "get", "1.9", "c", 2, 1, 10, 20), count("", "list", "1.0", "c", 1, 0, 1, 1)),
		rpc.EndpointInfo{Namespaces: []string{""}, Version: ver("1.9"), Methods: []rpc.MethodInfo{{Name: "get"}, {Name: "list", DeprecatedSince: ver("1.1")}}})
	late := offering(
		seenFor(instanceOf(t, "late", "active", "1.10"), time.Minute,
			count("", "get", "1.9", "c", 3, 0, 5, 15), count("", "get", "1.9", "b", 1, 0, 5, 5), count("control", "x", "2.0", "c", 1, 0, 1, 1)),
		rpc.EndpointInfo{Namespaces: []string{""}, Version: ver("1.10"), Methods: []rpc.MethodInfo{{Name: "get", DeprecatedSince: ver("1.10")}, {Name: "list"}}})
	proxy := offering(uncounted(seenFor(instanceOf(t, "proxy", "active", "control=2.1"), time.Minute), 7),
		rpc.EndpointInfo{Namespaces: []string{"control"}, Version: ver("2.1"), Fallback: &rpc.MethodInfo{}, DeprecatedSince: ver("2.1")})
	list, uncounted := requestsOf([]observation{old, late, proxy, {instance: instanceOf(t, "deaf", "active", "1.0"), err: oslorpc.Unreachable}})
	want := []string{
		"NAMESPACE|METHOD|VERSION|CALLER|ACCEPTED|REFUSED|FIRST SEEN|LAST SEEN|DEPRECATED",
		"-|get|1.9|b|1|0|2026-01-02T03:04:10Z|2026-01-02T03:04:10Z|1.10",
		"-|get|1.9|c|5|1|2026-01-02T03:04:10Z|2026-01-02T03:04:25Z|1.10",
		"-|get|1.10|c|0|1|2026-01-02T03:04:35Z|2026-01-02T03:04:45Z|1.10",
		"-|list|1.0|c|1|0|2026-01-02T03:04:06Z|2026-01-02T03:04:06Z|-",
		"control|x|2.0|c|1|0|2026-01-02T03:04:06Z|2026-01-02T03:04:06Z|2.1",
	}
	if got := fields(requestRows(list)); !slices.Equal(got, want) || uncounted != 7 {
		t.Errorf("got %q and %d, want %q", got, uncounted, want)
	}
}

func TestOutdatedRequests(t *testing.T) {
	t.Parallel()
	latest := newest([]oslorpc.Instance{instanceOf(t, "a", "active", "2.0,2.3.1,control=1.0"), instanceOf(t, "b", "active", "2.1")})
	for _, test := range []struct {
		asked      asked
		deprecated rpc.Version
		want       bool
	}{
		{asked{method: "m", version: ver("2.2")}, rpc.Version{}, true},
		{asked{method: "m", version: ver("2.3")}, rpc.Version{}, false},
		{asked{method: "m", version: ver("2.3")}, ver("2.3"), true},
		{asked{method: "m", version: ver("2.4")}, rpc.Version{}, false},
		{asked{method: "m", version: ver("1.9")}, rpc.Version{}, true},
		{asked{method: "m", version: ver("3.0")}, rpc.Version{}, false},
		{asked{namespace: "control", method: "m", version: ver("1.0")}, rpc.Version{}, false},
		{asked{namespace: "other", method: "m", version: ver("1.0")}, rpc.Version{}, false},
		{asked{method: oslorpc.PingMethod, version: ver("1.0")}, rpc.Version{}, false},
	} {
		if got := outdated([]request{{asked: test.asked, deprecated: test.deprecated}}, latest); (len(got) == 1) != test.want {
			t.Errorf("%+v: got %+v", test, got)
		}
	}
}

package oslorpc_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

var pinging = []oslorpc.ServerOption{oslorpc.WithPing()}

func TestPingMethod(t *testing.T) {
	explicit := []oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowExposed), oslorpc.WithPing()}
	own := oslorpc.Endpoint{Methods: map[string]oslorpc.Method{oslorpc.PingMethod: says("not pong")}}
	foo := map[string]oslorpc.Method{"foo": says("foo")}
	for name, test := range map[string]struct {
		options   []oslorpc.ServerOption
		endpoints []oslorpc.Endpoint
		version   string
		want      string // empty for an error of this kind:
		kind      oslorpc.Kind
	}{
		"no endpoints":          {options: pinging, want: "pong"},
		"an endpoint":           {options: pinging, endpoints: []oslorpc.Endpoint{{Methods: foo}}, want: "pong"},
		"one of version 2.0":    {options: pinging, endpoints: []oslorpc.Endpoint{{Version: "2.0", Methods: foo}}, want: "pong"},
		"one of a namespace":    {options: pinging, endpoints: []oslorpc.Endpoint{{Namespace: "n", Methods: foo}}, want: "pong"},
		"one that has it":       {options: pinging, endpoints: []oslorpc.Endpoint{{Methods: foo}, own}, want: "not pong"},
		"a fallback":            {options: pinging, endpoints: []oslorpc.Endpoint{{Fallback: namesItself}}, want: "pong"},
		"explicit policy":       {options: explicit, endpoints: []oslorpc.Endpoint{{Methods: foo}}, want: "pong"},
		"1.1":                   {options: pinging, endpoints: []oslorpc.Endpoint{{Methods: foo}}, version: "1.1", want: "pong"},
		"2.0":                   {options: pinging, endpoints: []oslorpc.Endpoint{{Methods: foo}}, version: "2.0", want: "pong"},
		"not added, a fallback": {endpoints: []oslorpc.Endpoint{{Version: "1.1", Fallback: namesItself}}, version: "1.1", kind: oslorpc.NoSuchMethod},
		"not added":             {endpoints: []oslorpc.Endpoint{{Methods: foo}}, kind: oslorpc.NoSuchMethod},
		"not added, at 2.0":     {endpoints: []oslorpc.Endpoint{{Version: "2.0", Methods: foo}}, kind: oslorpc.UnsupportedVersion},
		"not added, and listed": {endpoints: []oslorpc.Endpoint{own}, want: "not pong"},
	} {
		t.Run(name, func(t *testing.T) {
			serveWith(t, test.options, test.endpoints...)
			c := client(t, oslorpc.WithVersion(test.version))
			for _, args := range []any{nil, map[string]any{"any": 1}} {
				got, err := oslorpc.Call[string](t.Context(), c, oslorpc.PingMethod, args)
				switch {
				case test.want == "":
					wantKind(t, err, test.kind, true)
				case test.want == "not pong" && args != nil: // it takes none
				case err != nil || got != test.want:
					t.Errorf("got %q, %v, want %q", got, err, test.want)
				}
			}
		})
	}
}

// In oslo.messaging, the ping endpoint turned UnsupportedVersion of other messages into
// NoSuchMethod. Here it would attract such messages.
func TestPingChangesNothingElse(t *testing.T) {
	serveWith(t, pinging, oslorpc.Endpoint{Version: "2.0", Methods: map[string]oslorpc.Method{"foo": says("foo")}})
	c := client(t)
	_, err := oslorpc.Call[string](t.Context(), c, "foo", nil)
	wantKind(t, err, oslorpc.UnsupportedVersion, true)
	wantText(t, err, "no server on the topic serves version 1.0") // it is not even sent
	_, err = oslorpc.Call[string](t.Context(), c.Prepare(oslorpc.WithVersion("2.0")), "bar", nil)
	wantKind(t, err, oslorpc.NoSuchMethod, true)

	instances, err := open(t).Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if list := instances[0].Implemented; len(list) != 1 || list[0].Version.String() != "2.0" {
		t.Errorf("it lists %v", list)
	}
}

// Servers that do not answer pings are passed over, whatever they implement.
func TestPingFindsThoseThatAnswer(t *testing.T) {
	serve(t, "net2", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"foo": says("foo")}})
	serve(t, "net3", oslorpc.Endpoint{Version: "3.0", Methods: map[string]oslorpc.Method{"foo": says("foo")}})
	serveWith(t, pinging, oslorpc.Endpoint{Version: "2.0", Methods: map[string]oslorpc.Method{"foo": says("foo")}})
	c := client(t)
	for range 6 {
		wantAnswers(t, c, map[string]string{oslorpc.PingMethod: "pong"})
	}
	report, err := c.Fanout(t.Context(), oslorpc.PingMethod, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Accepted) != 1 || report.Accepted[0].Instance.Server != "net1" || len(report.Skipped) != 2 || len(report.Failed) != 0 {
		t.Errorf("got %+v", report)
	}
}

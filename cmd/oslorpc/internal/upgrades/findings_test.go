package upgrades

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// ver parses a version.
func ver(text string) rpc.Version {
	v, err := rpc.ParseVersion(text)
	if err != nil {
		panic(err)
	}
	return v
}

// implementing returns an active instance that implements versions of the default namespace.
func implementing(server string, versions ...string) rpc.Instance {
	i := rpc.Instance{Exchange: "openstack", Topic: "demo", Server: server, Addr: server + ":1", State: rpc.StateActive, ID: server}
	for _, v := range versions {
		i.Implemented = append(i.Implemented, rpc.Implementation{Version: ver(v)})
	}
	return i
}

// answered returns the observation of an instance that has been up for a minute.
func answered(i rpc.Instance, counts ...rpc.RequestCount) upgrade.Observation {
	return upgrade.Observe(i, &rpc.Info{
		Uptime: time.Minute, Build: "v1", Servers: []rpc.ServerInfo{{InstanceID: i.ID, Requests: counts}},
	}, nil)
}

// fields returns rows as they are printed, with the cells of each row joined.
func fields(rows [][]string) []string {
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		for n := range row {
			row[n] = cli.Cell(row[n])
		}
		lines = append(lines, strings.Join(row, "|"))
	}
	return lines
}

func TestMatrixRows(t *testing.T) {
	t.Parallel()
	draining := implementing("c", "1.0", "1.10")
	draining.State = rpc.StateDraining
	control := implementing("d")
	control.Implemented = []rpc.Implementation{{Namespace: "control", Version: ver("1.0")}}
	for name, test := range map[string]struct {
		list       []rpc.Instance
		rows, caps []string
	}{
		"mixed": {
			[]rpc.Instance{implementing("a", "1.2", "2.0"), implementing("b", "1.1"), draining, control},
			[]string{
				"SERVER|ADDRESS|STATE|1.x|2.x|control=1.x", "a|a:1|active|1.2|2.0|-", "b|b:1|active|1.1|-|-",
				"c|c:1|draining (not counted)|1.0,1.10|-|-", "d|d:1|active|-|-|1.0",
			},
			[]string{
				"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|1.1|1.10|b (up 1m0s)", "2.x|no common version|2.0|b (up 1m0s)",
				"control=1.x|1.0|1.0|none",
			},
		},
		"many holders": {
			[]rpc.Instance{
				implementing("a", "1.0"), implementing("b", "1.0"), implementing("c", "1.0"), implementing("d", "1.0"),
				implementing("e", "1.0"), implementing("f", "1.1"),
			},
			nil,
			[]string{"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|1.0|1.1|a (up 1m0s), b (up 1m0s), c (up 1m0s) and 2 more"},
		},
		"a server that does not report": {
			[]rpc.Instance{implementing("a", "1.0"), {Server: "s", Addr: "s:1"}},
			[]string{"SERVER|ADDRESS|STATE|1.x", "a|a:1|active|1.0", "s|s:1|-|?"},
			[]string{"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|unreported|1.0|s (up 1m0s)"},
		},
	} {
		m := upgrade.NewMatrix(test.list)
		var seen []upgrade.Observation
		for _, i := range m.Holders() {
			seen = append(seen, answered(i))
		}
		if got := fields(matrixRows(m)); test.rows != nil && !slices.Equal(got, test.rows) {
			t.Errorf("%s: got %q, want %q", name, got, test.rows)
		}
		if got := fields(capRows(m, seen)); !slices.Equal(got, test.caps) {
			t.Errorf("%s: got %q, want %q", name, got, test.caps)
		}
	}
}

func TestHolderThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	m := upgrade.NewMatrix([]rpc.Instance{implementing("new", "1.1"), implementing("old", "1.0")})
	seen := []upgrade.Observation{upgrade.Observe(m.Holders()[0], nil, rpc.Unreachable)}
	if got := fields(capRows(m, seen))[1]; got != "1.x|1.0|1.1|old (not reachable)" {
		t.Errorf("got %s", got)
	}
	d := newMatrixDocument(&instances.Selection{}, m, seen)
	if d.Caps[0].Holders[0].Error == nil || d.Caps[0].Next != "1.1" || !d.Caps[0].HeldDown {
		t.Errorf("got %+v", d.Caps)
	}
}

func TestFindingsForPeople(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	request := rpc.RequestCount{Method: "m", Version: ver("1.2"), Caller: "c", Accepted: 2, Refused: 1, FirstSeen: epoch, LastSeen: epoch.Add(time.Second)}
	draining := implementing("c", "0.9")
	draining.State = rpc.StateDraining
	for name, test := range map[string]struct {
		to   string
		seen []upgrade.Observation
		code int
		want []string
	}{
		"safe": {"1.0", []upgrade.Observation{answered(implementing("a", "1.0")), answered(implementing("b", "1.0")), answered(draining)}, cli.ExitYes, []string{
			"safe: the 2 servers serve 1.0 of the default namespace (1 draining, not counted), and no caller asked for what it does not serve",
			"Callers were counted for 1m0s only, since a started: those that ask less often are not known.",
		}},
		"not yet": {"1.1", []upgrade.Observation{answered(implementing("a", "1.0"), request)}, cli.ExitNotYet, []string{
			"Servers that do not serve 1.1:", "SERVER ADDRESS STATE VERSIONS", "a a:1 active 1.0",
			"Callers that asked for what 1.1 does not serve:",
			"NAMESPACE METHOD VERSION CALLER PROVED ACCEPTED REFUSED FIRST SEEN LAST SEEN DEPRECATED",
			"- m 1.2 c unproven 2 1 2026-01-02T03:04:05Z 2026-01-02T03:04:06Z -",
			"Callers were counted for 1m0s only, since a started: those that ask less often are not known.",
		}},
		"cannot tell": {"1.1", []upgrade.Observation{upgrade.Observe(implementing("s"), nil, rpc.Unreachable)}, cli.ExitCannotTell, []string{
			"Servers that do not report what they implement:", "SERVER ADDRESS STATE VERSIONS", "s s:1 active -",
			"Servers that did not answer:", "SERVER ADDRESS STATE ERROR", "s s:1 active not delivered: unreachable",
		}},
	} {
		f := upgrade.Check(rpc.Implementation{Version: ver(test.to)}, test.seen)
		if err := asVerdict(f); (err == nil) != (test.code == cli.ExitYes) || err != nil && cli.ExitCode(err) != test.code {
			t.Errorf("%s: the command ends with %v", name, err)
		}
		var text bytes.Buffer
		writeFindings(&text, f)
		var got []string
		for line := range strings.Lines(text.String()) {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: it prints %q, want %q", name, got, test.want)
		}
	}
}

func TestVerdictForPrograms(t *testing.T) {
	t.Parallel()
	err := asVerdict(upgrade.Check(rpc.Implementation{Version: ver("1.1")}, []upgrade.Observation{answered(implementing("a", "1.0"))}))
	if f := cli.NewFailure(err); f.Kind != "NotYet" || f.ExitCode != cli.ExitNotYet || f.Message != "not yet: 1 server does not serve 1.1" {
		t.Errorf("got %+v", f)
	}
}

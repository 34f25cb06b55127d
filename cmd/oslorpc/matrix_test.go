package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// instanceOf returns an instance that implements versions, such as "1.0,control=2.1"; none if the text is empty.
func instanceOf(t *testing.T, server, state, versions string) oslorpc.Instance {
	t.Helper()
	i := oslorpc.Instance{Exchange: "openstack", Topic: "demo", Server: server, Addr: server + ":1", State: rpc.State(state), ID: server, BootID: server}
	for _, word := range strings.FieldsFunc(versions, func(r rune) bool { return r == ',' }) {
		namespace, version, found := strings.Cut(word, "=")
		if !found {
			namespace, version = "", word
		}
		v, err := rpc.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		i.Implemented = append(i.Implemented, rpc.Implementation{Namespace: namespace, Version: v})
	}
	return i
}

// seenFor returns what an instance says that is up for so long.
func seenFor(i oslorpc.Instance, uptime time.Duration, counts ...rpc.RequestCount) observation {
	return observation{instance: i, info: &rpc.Info{
		Uptime: uptime, Build: "v1", Servers: []rpc.ServerInfo{{InstanceID: i.ID, Requests: counts}},
	}}
}

// fields returns rows with the cells of each joined, as they are printed.
func fields(rows [][]string) []string {
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		for n := range row {
			row[n] = cell(row[n])
		}
		lines = append(lines, strings.Join(row, "|"))
	}
	return lines
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		list       []oslorpc.Instance
		rows, caps []string
	}{
		{
			"mixed, with a namespace, a held and a draining server",
			[]oslorpc.Instance{
				instanceOf(t, "a", "active", "1.2,2.0,control=1.0"), instanceOf(t, "b", "held", "1.1"), instanceOf(t, "c", "draining", "1.0,1.10"),
			},
			[]string{
				"SERVER|ADDRESS|STATE|1.x|2.x|control=1.x", "a|a:1|active|1.2|2.0|1.0", "b|b:1|held|1.1|-|-",
				"c|c:1|draining (not counted)|1.0,1.10|-|-",
			},
			[]string{
				"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|1.1|1.10|b (up 1m0s)", "2.x|no common version|2.0|b (up 1m0s)",
				"control=1.x|1.0|1.0|none",
			},
		},
		{
			"many holders",
			[]oslorpc.Instance{
				instanceOf(t, "a", "active", "1.0"), instanceOf(t, "b", "active", "1.0"), instanceOf(t, "c", "active", "1.0"),
				instanceOf(t, "d", "active", "1.0"), instanceOf(t, "e", "active", "1.0"), instanceOf(t, "f", "active", "1.1"),
			},
			nil,
			[]string{"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|1.0|1.1|a (up 1m0s), b (up 1m0s), c (up 1m0s) and 2 more"},
		},
		{
			"a server that does not say",
			[]oslorpc.Instance{instanceOf(t, "a", "active", "1.0"), instanceOf(t, "s", "", "")},
			[]string{"SERVER|ADDRESS|STATE|1.x", "a|a:1|active|1.0", "s|s:1|-|?"},
			[]string{"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|unreported|1.0|s (up 1m0s)"},
		},
		{
			"only one that drains",
			[]oslorpc.Instance{instanceOf(t, "a", "draining", "1.0")},
			nil,
			[]string{"INTERFACE|AUTO CAP|NEWEST|HELD DOWN BY", "1.x|no instance|1.0|none"},
		},
		{"nobody says", []oslorpc.Instance{instanceOf(t, "s", "", "")}, []string{"SERVER|ADDRESS|STATE", "s|s:1|-"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMatrix(test.list)
			var seen []observation
			for _, i := range m.holders() {
				seen = append(seen, seenFor(i, time.Minute))
			}
			if got := fields(m.rows()); test.rows != nil && !slices.Equal(got, test.rows) {
				t.Errorf("got %q, want %q", got, test.rows)
			}
			if got := fields(m.capRows(seen)); test.caps != nil && !slices.Equal(got, test.caps) {
				t.Errorf("got %q, want %q", got, test.caps)
			}
			if test.caps == nil && len(m.caps) != 0 {
				t.Errorf("got the caps %+v", m.caps)
			}
		})
	}
}

func TestHolderThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	m := newMatrix([]oslorpc.Instance{instanceOf(t, "new", "active", "1.1"), instanceOf(t, "old", "active", "1.0")})
	seen := []observation{{instance: m.holders()[0], err: oslorpc.Unreachable}}
	if got := fields(m.capRows(seen))[1]; got != "1.x|1.0|1.1|old (not reachable)" {
		t.Errorf("got %s", got)
	}
	if d := newMatrixDocument(&selection{}, m, seen); d.Caps[0].Holders[0].Error == nil || d.Caps[0].Next != "1.1" || !d.Caps[0].HeldDown {
		t.Errorf("got %+v", d.Caps)
	}
}

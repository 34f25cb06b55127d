package delivery

import (
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type ready struct{ carrier.Link }

func (ready) Health() carrier.Health { return carrier.Ready }

func (ready) Outstanding() int64 { return 0 }

// versions returns a view of instances that implement one version of the default namespace each.
// Their servers are named after the version.
func versions(list ...string) *route.View {
	var entries []*route.Entry
	for i, text := range list {
		v, _ := rpc.ParseVersion(text)
		entries = append(entries, &route.Entry{Link: ready{}, Instance: rpc.Instance{
			ID: string(rune('a' + i)), Server: "at " + text, State: rpc.StateActive, Implemented: []rpc.Implementation{{Version: v}},
		}})
	}
	return route.NewView(entries, 1)
}

// asking returns a message with one variant for each version.
func asking(auto bool, list ...string) *Message {
	m := &Message{Auto: auto}
	for i, text := range list {
		v, _ := rpc.ParseVersion(text)
		if i == 0 {
			m.Query.Version = v
		} else {
			m.Fallbacks = append(m.Fallbacks, route.Query{Version: v})
		}
	}
	return m
}

func TestOrder(t *testing.T) {
	for name, test := range map[string]struct {
		auto   bool
		fleet  *route.View
		server string
		want   []int
	}{
		"as given":      {false, versions("1.1", "1.2"), "", []int{0, 1, 2}},
		"auto, all new": {true, versions("1.2", "1.2"), "", []int{0, 1, 2}},
		"auto, one old": {true, versions("1.2", "1.1"), "", []int{1, 2, 0}},
		"auto, all old": {true, versions("1.0", "1.0"), "", []int{2, 1, 0}},
		"auto, nobody: the least demanding first": {true, versions(), "", []int{2, 1, 0}},
		"auto, for a server":                      {true, versions("1.2", "1.1"), "at 1.2", []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := asking(test.auto, "1.2", "1.1", "1.0").order(test.fleet, test.server); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestPickVariant chooses instances until all were tried.
func TestPickVariant(t *testing.T) {
	for name, test := range map[string]struct {
		auto    bool
		fleet   *route.View
		server  string
		want    string // variants in the order of the picks
		verdict route.Verdict
		refusal error // of each instance that is tried
	}{
		"the new first, then the old":      {false, versions("1.1", "1.2", "1.0"), "", "012", route.Exhausted, nil},
		"auto sends what all can serve":    {true, versions("1.1", "1.2", "1.0"), "", "222", route.Exhausted, nil},
		"nobody can":                       {false, versions("2.0"), "", "", route.Unable, nil},
		"nobody is there":                  {true, versions(), "", "", route.NoInstance, nil},
		"by name":                          {false, versions("1.1", "1.2"), "at 1.1", "1", route.Exhausted, nil},
		"by name, which is not there":      {false, versions("1.1", "1.2"), "x", "", route.NoServer, nil},
		"a refused variant, then the next": {false, versions("1.1", "1.2"), "", "01122", route.Exhausted, noMethod},
	} {
		t.Run(name, func(t *testing.T) {
			d := delivery{Message: asking(test.auto, "1.2", "1.1", "1.0")}
			d.Target.Server = test.server
			got := ""
			verdict := d.pick(test.fleet)
			for ; verdict == route.Found; verdict = d.pick(test.fleet) {
				e := d.attempt.Entry
				if !e.Implemented[0].Version.Serves(d.query(d.attempt.Variant).Version) {
					t.Errorf("variant %d goes to %s", d.attempt.Variant, e.Server)
				}
				got += string(rune('0' + d.attempt.Variant))
				d.exclude(e, test.refusal)
			}
			if got != test.want || verdict != test.verdict {
				t.Errorf("got %q, verdict %d, want %q, %d", got, verdict, test.want, test.verdict)
			}
		})
	}
}

func TestSettleVariants(t *testing.T) {
	for name, test := range map[string]struct {
		auto          bool
		want, skipped string
	}{
		"each what it can serve": {false, "at 1.2:0 at 1.1:1 at 1.0:2", "at 2.0"},
		"auto: all the same":     {true, "at 1.2:2 at 1.1:2 at 1.0:2", "at 2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			fleet := versions("1.1", "2.0", "1.2", "1.0")
			if test.auto { // one that speaks another major version leaves nothing in common
				fleet = versions("1.1", "1.2", "1.0")
				test.skipped = ""
			}
			a := &Audience{message: asking(test.auto, "1.2", "1.1", "1.0")}
			_, skipped := a.settle(fleet)
			var got []string
			for i, e := range a.Reached {
				got = append(got, e.Server+":"+string(rune('0'+a.variants(i)[0])))
			}
			slices.Sort(got)
			want := strings.Split(test.want, " at ")
			for i := range want {
				want[i] = "at " + strings.TrimPrefix(want[i], "at ")
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("reached %v, want %v", got, want)
			}
			if names := len(skipped); (names > 0) != (test.skipped != "") {
				t.Errorf("skipped %d, want %q", names, test.skipped)
			}
		})
	}
}

func TestUnableNamesEverything(t *testing.T) {
	m := asking(false, "1.5", "1.4")
	m.Blamer = blamer(`field "size" needs version 1.4`)
	err := m.unableNow(versions("1.1", "1.2", "1.1"), "")
	for _, part := range []string{`field "size" needs version 1.4`, "1.5 or 1.4", "1.1", "1.2", `"at 1.1"`, `"at 1.2"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %s", err, part)
		}
	}
	if rpc.KindOf(err) != rpc.UnsupportedVersion || !rpc.SafeToRetry(err) {
		t.Errorf("got %v", err)
	}
}

// blamer always reports the same cause.
type blamer string

func (b blamer) Blame() string { return string(b) }

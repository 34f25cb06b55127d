package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// capLine describes a cap as "interface version newest holders". An unknown version is replaced by
// the state. The holders are present only if they hold the cap down.
func capLine(c Cap) string {
	version, held := c.Version.String(), ""
	if c.State != rpc.CapKnown {
		version = string(c.State)
	}
	if c.HeldDown() {
		held = servers(c.Holders)
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %s of %s; %s", c.Interface, version, c.Newest, held))
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		list    []rpc.Instance
		caps    []string
		holders string
	}{
		{
			"mixed, with a namespace, a held and a draining server",
			[]rpc.Instance{
				active("a", "1.2,2.0,control=1.0"), instance("b", rpc.StateHeld, "1.1"), instance("c", rpc.StateDraining, "1.0,1.10"),
			},
			[]string{"1.x: 1.1 of 1.10; b", "2.x: no common version of 2.0; b", "control=1.x: 1.0 of 1.0;"}, "b",
		},
		{
			"several holders",
			[]rpc.Instance{active("a", "1.0"), active("b", "1.1"), active("c", "1.0")}, []string{"1.x: 1.0 of 1.1; a c"}, "a c",
		},
		{
			"a server that does not report",
			[]rpc.Instance{active("a", "1.0"), instance("s", "", "")}, []string{"1.x: unreported of 1.0; s"}, "s",
		},
		{"only a draining server", []rpc.Instance{instance("a", rpc.StateDraining, "1.0")}, []string{"1.x: no instance of 1.0;"}, ""},
		{"no server reports", []rpc.Instance{instance("s", "", "")}, nil, ""},
		{"no server", nil, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := NewMatrix(test.list)
			var got []string
			for _, c := range m.Caps {
				got = append(got, capLine(c))
			}
			if !slices.Equal(got, test.caps) {
				t.Errorf("got %q, want %q", got, test.caps)
			}
			if got := servers(m.Holders()); got != test.holders {
				t.Errorf("the holders are %q, want %q", got, test.holders)
			}
		})
	}
}

func TestHoldersOfACap(t *testing.T) {
	t.Parallel()
	list := []rpc.Instance{active("old", "1.0"), active("new", "1.1")}
	static := instance("s", "", "")
	static.ID = ""
	other := static
	other.Addr = "other:1"
	seen := []Observation{answered(active("new", "1.1")), unanswered(active("old", "1.0")), unanswered(other), unanswered(static)}
	for _, test := range []struct {
		list []rpc.Instance
		want string
	}{
		{list, "old:1"},
		{append(list, static), "s:1"},
		{append(list, static, other), "other:1 s:1"},
		{nil, ""},
	} {
		var got []string
		for _, o := range HoldersOf(AutoCap(rpc.Interface{Major: 1}, test.list), seen) {
			got = append(got, o.Instance.Addr)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("got %q, want %s", got, test.want)
		}
	}
}

func TestAllServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		versions, version string
		want              bool
	}{
		{"1.2", "1.1", true}, {"1.2", "1.2", true}, {"1.2", "1.3", false}, {"1.2", "2.0", false}, {"2.0", "1.0", false}, {"", "1.0", false},
	} {
		v := ver(test.version)
		r := AutoCap(rpc.Implementation{Version: v}.Interface(), []rpc.Instance{active("a", test.versions)})
		if got := AllServe(r, v); got != test.want {
			t.Errorf("%+v: got %t of %s", test, got, r)
		}
	}
}

func TestVersionsOf(t *testing.T) {
	t.Parallel()
	i := active("a", "1.0,2.0,1.10,control=1.1")
	for _, test := range []struct {
		at   rpc.Interface
		want []rpc.Version
	}{
		{rpc.Interface{Major: 1}, []rpc.Version{ver("1.0"), ver("1.10")}},
		{rpc.Interface{Namespace: "control", Major: 1}, []rpc.Version{ver("1.1")}},
		{rpc.Interface{Major: 3}, nil},
	} {
		if got := VersionsOf(i, test.at); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v", test.at, got)
		}
	}
}

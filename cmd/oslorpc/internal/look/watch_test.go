package look

import (
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	a, b := oslorpc.Instance{ID: "1", Server: "a", State: "active"}, oslorpc.Instance{ID: "2", Server: "b", State: "active"}
	draining, restarted := a, a
	draining.State, restarted.ID = "draining", "3"
	static := oslorpc.Instance{Server: "s", Addr: "h:1"}
	for _, test := range []struct {
		name          string
		before, after []oslorpc.Instance
		want          []string
	}{
		{"no instance", nil, nil, nil},
		{"joined", nil, []oslorpc.Instance{a, static}, []string{"joined a", "joined s"}},
		{"same", []oslorpc.Instance{a, static}, []oslorpc.Instance{static, a}, nil},
		{"left", []oslorpc.Instance{a, b, static}, []oslorpc.Instance{b}, []string{"left a", "left s"}},
		{"changed", []oslorpc.Instance{a, b}, []oslorpc.Instance{draining, b}, []string{"changed a"}},
		{"restarted", []oslorpc.Instance{a}, []oslorpc.Instance{restarted}, []string{"left a", "joined a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, e := range changes(test.before, test.after) {
				got = append(got, e.what+" "+e.instance.Server)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

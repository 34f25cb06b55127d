package registry

import (
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestSortAndSame(t *testing.T) {
	sorted := []rpc.Instance{
		{Exchange: "a", Topic: "z"}, {Exchange: "b", Topic: "a", Server: "s", ID: "1"}, {Exchange: "b", Topic: "a", Server: "s", ID: "2"},
		{Exchange: "b", Topic: "a", Server: "s", ID: "2", Addr: "x"}, {Exchange: "b", Topic: "a", Server: "t"}, {Exchange: "b", Topic: "b"},
	}
	mixed := slices.Clone(sorted)
	slices.Reverse(mixed)
	if Same(sorted, mixed) {
		t.Error("another order is the same")
	}
	Sort(mixed)
	if !Same(sorted, mixed) {
		t.Errorf("sorted to %+v", mixed)
	}
	mixed[3].Implemented = []rpc.Implementation{{Version: rpc.DefaultVersion}}
	if Same(sorted, mixed) || Same(sorted, sorted[1:]) {
		t.Error("lists that differ are the same")
	}
}

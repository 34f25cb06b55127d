package oslorpc_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// implementing returns an instance that implements versions of the null namespace.
func implementing(server, state string, versions ...oslorpc.Version) oslorpc.Instance {
	i := oslorpc.Instance{Topic: "topic", Server: server, Addr: "unix:/" + server, State: state, ID: server}
	for _, v := range versions {
		i.Implemented = append(i.Implemented, oslorpc.Implementation{Version: v})
	}
	return i
}

func TestAutoCapOfAList(t *testing.T) {
	t.Parallel()
	old, late := oslorpc.Version{Major: 1, Minor: 1}, oslorpc.Version{Major: 1, Minor: 2}
	list := []oslorpc.Instance{
		implementing("new", "active", late), implementing("old", "held", old), implementing("leaves", "draining", oslorpc.Version{Major: 1}),
	}
	r := oslorpc.AutoCapOf(list, "", 1)
	if r.State != oslorpc.CapKnown || r.Version != old || *r.Next != late || !reflect.DeepEqual(r.Holders, list[1:2]) {
		t.Errorf("got %+v", r)
	}
	if want := "auto: 1.1 of the null namespace: old (unix:/old) implements no later version; it rises to 1.2"; !strings.HasPrefix(r.String(), want) {
		t.Errorf("got %s", r)
	}
	if r := oslorpc.AutoCapOf(list, "other", 1); r.State != oslorpc.CapNoInstance || len(r.Holders) != 0 {
		t.Errorf("got %+v", r)
	}
	if r := oslorpc.AutoCapOf(append(list, implementing("static", "")), "", 1); r.State != oslorpc.CapUntold || r.Holders[0].Server != "static" {
		t.Errorf("got %+v", r)
	}
}

package route

import (
	"reflect"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// implementing returns an instance that implements versions of the default namespace.
func implementing(server string, state rpc.State, versions ...rpc.Version) rpc.Instance {
	i := rpc.Instance{Topic: "topic", Server: server, Addr: "unix:/" + server, State: state, ID: server}
	for _, v := range versions {
		i.Implemented = append(i.Implemented, rpc.Implementation{Version: v})
	}
	return i
}

func TestReasonOfACeiling(t *testing.T) {
	t.Parallel()
	old, late := rpc.Version{Major: 1, Minor: 1}, rpc.Version{Major: 1, Minor: 2}
	list := []rpc.Instance{
		implementing("new", rpc.StateActive, late), implementing("old", rpc.StateHeld, old),
		implementing("leaving", rpc.StateDraining, rpc.Version{Major: 1}),
	}
	reason := func(namespace string, list []rpc.Instance) *rpc.CapReason {
		i := Interface{Namespace: namespace, Major: 1}
		return CeilingOf(i, list).Reason(i)
	}
	r := reason("", list)
	if r.Rule != rpc.CapRuleAuto || r.State != rpc.CapKnown || r.Version != old || *r.Next != late || !reflect.DeepEqual(r.Holders, list[1:2]) {
		t.Errorf("got %+v", r)
	}
	if want := "auto: 1.1 of the default namespace: old (unix:/old) implements no later version; it rises to 1.2"; !strings.HasPrefix(r.String(), want) {
		t.Errorf("got %s", r)
	}
	if r := reason("other", list); r.State != rpc.CapNoInstance || len(r.Holders) != 0 {
		t.Errorf("got %+v", r)
	}
	if r := reason("", append(list, implementing("static", ""))); r.State != rpc.CapUnreported || r.Holders[0].Server != "static" {
		t.Errorf("got %+v", r)
	}
}

// Every state of a ceiling has a state of a cap.
func TestCapStates(t *testing.T) {
	t.Parallel()
	for state := Known; state <= Unreported; state++ {
		if capStates[state] == "" {
			t.Errorf("the state %d has none", state)
		}
	}
}

package gateway_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// An instance loses nothing but its address on the way to a gateway and back.
func TestInstance(t *testing.T) {
	t.Parallel()
	for _, state := range []rpc.State{"", rpc.StateActive, rpc.StateHeld, rpc.StateDraining} {
		want := rpc.Instance{
			ID: "b.1", BootID: "b", Exchange: "nova", Topic: "compute", Server: "host1", Addr: "gw:1", State: state, Sessions: true, Zone: "az1",
			Implemented: []rpc.Implementation{{Version: rpc.Version{Major: 1, Minor: 4}}, {Namespace: "n", Version: rpc.Version{Major: 2}}},
		}
		if got, err := gateway.Decode(gateway.Encode(&want), "gw:1"); err != nil || !got.Equal(want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

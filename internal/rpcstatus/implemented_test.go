package rpcstatus

import (
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// An error carries the implemented versions, from a server that lists them or from a client that
// knows them, and keeps them on its way. Texts from a peer that are not versions are left out.
func TestImplementedTravels(t *testing.T) {
	t.Parallel()
	list := []rpc.Implementation{{Version: rpc.Version{Major: 1, Minor: 4}}, {Namespace: "volumes", Version: rpc.Version{Major: 2, Minor: 0, Revision: 3}}}
	e := &rpc.Error{Kind: rpc.UnsupportedVersion, Message: "m", NotStarted: true}
	known := *e
	known.Cause = &refusal.Offer{Implemented: list}
	bad := append(Implementations(list), &pb.Implementation{Version: "new"}, &pb.Implementation{})
	for name, st := range map[string]error{
		"a server's": Encode(e, Implementations(list)).Err(), "a client's": Encode(&known, nil).Err(), "malformed": Encode(e, bad).Err(),
	} {
		got := Decode(st, true)
		if again := Decode(Encode(got, nil).Err(), true); !slices.Equal(refusal.Offered(got), list) || !slices.Equal(refusal.Offered(again), list) {
			t.Errorf("%s: got %v, and then %v", name, refusal.Offered(got), refusal.Offered(again))
		}
	}
}

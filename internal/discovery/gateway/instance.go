package gateway

import (
	"fmt"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var states = map[rpc.State]pb.State{
	"": pb.State_STATE_UNSPECIFIED, rpc.StateActive: pb.State_STATE_ACTIVE,
	rpc.StateHeld: pb.State_STATE_HELD, rpc.StateDraining: pb.State_STATE_DRAINING,
}

// Encode encodes an instance for the messages between gateways and clients or attached processes,
// without its address.
func Encode(i *rpc.Instance) *pb.Instance {
	m := &pb.Instance{
		Id: i.ID, BootId: i.BootID, Exchange: i.Exchange, Topic: i.Topic, Server: i.Server, State: states[i.State], Sessions: i.Sessions, Zone: i.Zone,
	}
	for _, offer := range i.Implemented {
		m.Implemented = append(m.Implemented, &pb.Implementation{Version: offer.Version.String()})
		if offer.Namespace != "" {
			m.Implemented[len(m.GetImplemented())-1].Namespace = new(offer.Namespace)
		}
	}
	return m
}

// Decode decodes an instance, and sets its address to addr. An instance with an unknown state
// counts as active.
func Decode(m *pb.Instance, addr string) (rpc.Instance, error) {
	i := rpc.Instance{
		ID: m.GetId(), BootID: m.GetBootId(), Exchange: m.GetExchange(), Topic: m.GetTopic(), Server: m.GetServer(), Addr: addr,
		State: rpc.StateActive, Sessions: m.GetSessions(), Zone: m.GetZone(),
	}
	for state, wire := range states {
		if wire == m.GetState() {
			i.State = state
		}
	}
	for _, offer := range m.GetImplemented() {
		version, err := rpc.ParseVersion(offer.GetVersion())
		if err != nil {
			return i, fmt.Errorf("instance %q of server %q: %w", i.ID, i.Server, err)
		}
		i.Implemented = append(i.Implemented, rpc.Implementation{Namespace: offer.GetNamespace(), Version: version})
	}
	return i, nil
}

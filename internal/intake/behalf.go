package intake

import (
	"github.com/oslorpc/oslorpc/internal/caller"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Gateways forward messages of others, and say whose. A process believes only the gateways that it
// is configured to trust. Their messages then count as the original caller's, for the policy as
// well. A message of any other sender counts as the sender's own, whatever it says.

// behalf records on whose behalf a message was sent.
func (i *Intake) behalf(m *Message) error {
	if m.Behalf == "" {
		return nil
	}
	c, err := caller.Decode(m.Behalf)
	if err != nil {
		return m.invalid(err.Error())
	}
	m.Gateways, m.Behalf, m.said = c.Gateways, "", m.Behalf
	if i.config.Gateways == nil || m.Origin == nil {
		return nil
	}
	gateway := m.Origin.Peer()
	if !i.config.Gateways(gateway.Identity) {
		return nil
	}
	original := rpc.Peer{Addr: c.Addr, Via: &gateway}
	if len(c.Names) > 0 {
		original.Identity = rpc.Identity{Proof: rpc.ProofGateway, Names: c.Names}
	}
	m.Caller = c.Agent
	m.Origin = forwarded(m.Origin, original)
	return m.count(&original)
}

// count has the message count as one of its original caller. The error refuses it.
func (m *Message) count(original *rpc.Peer) error {
	if m.From == nil {
		return nil
	}
	m.From = m.From.Behind(original.Identity.Key(), limits.Shared(original.Addr))
	if m.From.IsFast() {
		m.From.Refused(limits.Rate)
		return refusal.TooFast()
	}
	return nil
}

// forwarded returns the origin of a message that a gateway forwarded.
func forwarded(from dispatch.Origin, original rpc.Peer) dispatch.Origin {
	of := byGateway{from, original}
	if accountant, ok := from.(dispatch.Accountant); ok {
		return accounted{of, accountant}
	}
	return of
}

// byGateway is an origin whose peer is the original caller.
type byGateway struct {
	dispatch.Origin

	peer rpc.Peer
}

// Peer implements [dispatch.Origin].
func (o byGateway) Peer() rpc.Peer { return o.peer }

// accounted is an origin with the account of the connection.
type accounted struct {
	byGateway
	dispatch.Accountant
}

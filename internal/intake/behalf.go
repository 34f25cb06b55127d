package intake

import (
	"github.com/oslorpc/oslorpc/internal/caller"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A gateway forwards messages of other callers, and names the caller in each. A process believes
// this only of the gateways that it is configured to trust: their messages count as the original
// caller's, for the policy as well. A message from any other sender counts as the sender's own,
// whatever caller it names.

// behalf reads the caller on whose behalf a gateway sent a message. If the gateway is trusted, the
// message then counts as that caller's.
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

// count charges the message to its original caller, whose share and rate then bound it. An error
// refuses the message.
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

// accounted is a byGateway that accounts for large answers, as the origin that it replaces does.
type accounted struct {
	byGateway
	dispatch.Accountant
}

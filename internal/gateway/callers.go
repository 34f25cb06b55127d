package gateway

import (
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/internal/caller"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// maxCallers bounds the callers that are remembered. When it is exceeded, all are forgotten.
const maxCallers = 4096

// callers caches encoded callers, because most callers send many messages.
type callers struct {
	mu      sync.RWMutex
	encoded map[callerKey]string
}

// callerKey is everything that servers are told about a caller with at most one name.
type callerKey struct {
	addr, agent, name string
	named             bool
}

// caller returns the encoded Caller message that tells servers who sent a message.
func (g *Gateway) caller(m *intake.Message) string {
	from := m.Origin.Peer()
	names := from.Identity.Names
	of := caller.Caller{Names: names, Addr: from.Addr, Agent: m.Caller, Gateways: append(slices.Clip(m.Gateways), g.intake.BootID())}
	if len(names) > 1 || len(m.Gateways) > 0 {
		return of.Encode()
	}
	key := callerKey{addr: from.Addr, agent: m.Caller}
	if len(names) == 1 {
		key.name, key.named = names[0], true
	}
	c := &g.callers
	c.mu.RLock()
	encoded, known := c.encoded[key]
	c.mu.RUnlock()
	if known {
		return encoded
	}
	encoded = of.Encode()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.encoded == nil || len(c.encoded) >= maxCallers {
		c.encoded = map[callerKey]string{}
	}
	c.encoded[key] = encoded
	return encoded
}

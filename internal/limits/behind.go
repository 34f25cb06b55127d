package limits

// maxBehind bounds the callers that are remembered because they came through gateways. When more
// come, all callers without a connection of their own are forgotten, with the part of their rate
// that they used.
const maxBehind = 4096

// Behind returns the caller for whom this one sends a message. This one is a gateway that is
// trusted to name its callers. The caller has an identity, or, if that is empty, is known by what
// it shares with others. It has the limits of a caller, together with its own connections if it has
// any. From then on, the gateway itself has only the limits of connections, since it stands for all
// its callers.
func (c *Caller) Behind(identity, shared string) *Caller {
	c.top().carries.Store(true)
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.caller(identity, shared)
	if !of.behind {
		if b.behind >= maxBehind {
			b.forget()
		}
		of.behind = true
		b.callers[of.key] = of // forget may have removed it
		b.behind++
	}
	return of
}

// forget forgets the callers that came through gateways. The lock is held.
func (b *Budget) forget() {
	for key, c := range b.callers {
		if c.behind = false; c.conns == 0 {
			delete(b.callers, key)
		}
	}
	b.behind = 0
}

package limits

import "context"

// Pool is an amount of memory that callers share.
type Pool struct {
	budget *Budget
	size   int64

	// The following fields are guarded by the budget's lock.
	total   int64
	used    map[*Caller]int64
	waiting []*Claim
}

// Claim is an amount of a pool that a caller holds or waits for.
type Claim struct {
	pool    *Pool
	caller  *Caller
	bytes   int64
	granted func() // called once the claim is granted, if it had to wait; must not wait itself

	has, ended bool // guarded by the budget's lock
}

// Claim asks for n bytes. It returns true if they are granted at once. Otherwise granted is called
// later. A caller that holds nothing may get the whole free pool, and a claim of any size fits an
// empty pool, so every message is admitted eventually.
func (p *Pool) Claim(c *Caller, n int, granted func()) (*Claim, bool) {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	claim := &Claim{pool: p, caller: c, bytes: int64(n), granted: granted}
	if !p.isAhead(c) && p.isRoom(claim) {
		p.give(claim)
		return claim, true
	}
	p.waiting = append(p.waiting, claim)
	return claim, false
}

// Acquire asks for n bytes, and waits until they are granted or ctx ends.
func (p *Pool) Acquire(ctx context.Context, c *Caller, n int) (*Claim, error) {
	turn := make(chan struct{})
	claim, has := p.Claim(c, n, func() { close(turn) })
	if has {
		return claim, nil
	}
	select {
	case <-turn:
		return claim, nil
	case <-ctx.Done():
		claim.Release()
		return nil, ctx.Err()
	}
}

// Waits reports whether a claim waits that may be granted once this caller releases bytes: a claim
// of the caller itself, or one for which the pool has no room.
func (p *Pool) Waits(c *Caller) bool {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	for _, w := range p.waiting {
		if w.caller.top() == c.top() || !p.fits(w) {
			return true
		}
	}
	return false
}

// Used returns how many bytes are granted.
func (p *Pool) Used() int64 {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	return p.total
}

// Granted reports whether the claim has its bytes.
func (c *Claim) Granted() bool {
	c.pool.budget.mu.Lock()
	defer c.pool.budget.mu.Unlock()
	return c.has && !c.ended
}

// Release gives the bytes back, or stops waiting for them. A nil claim holds none.
func (c *Claim) Release() {
	if c == nil {
		return
	}
	p := c.pool
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	if c.has {
		p.add(c, -c.bytes)
	}
	p.serve()
}

// isAhead reports whether another claim of the caller waits. Claims of one caller are granted in
// order.
func (p *Pool) isAhead(c *Caller) bool {
	for _, w := range p.waiting {
		if w.caller == c && !w.ended {
			return true
		}
	}
	return false
}

// serve grants the claims that fit, in the order of their arrival. A claim that exceeds its
// caller's share lets later ones pass. A claim for which the pool has no room blocks later ones.
// The lock is held.
func (p *Pool) serve() {
	kept, full := p.waiting[:0], false
	for _, w := range p.waiting {
		switch {
		case w.ended:
		case !full && p.isRoom(w):
			p.give(w)
			w.granted()
		default:
			full = full || !p.fits(w)
			kept = append(kept, w)
		}
	}
	clear(p.waiting[len(kept):])
	p.waiting = kept
}

// fits reports whether the pool has room for a claim, regardless of the caller's share.
func (p *Pool) fits(c *Claim) bool { return p.total == 0 || p.total+c.bytes <= p.size }

// isRoom reports whether a claim can be granted.
func (p *Pool) isRoom(c *Claim) bool {
	for at := c.caller; at != nil; at = at.parent {
		if used := p.used[at]; used > 0 && used+c.bytes > p.size*int64(at.share)/100 {
			return false
		}
	}
	return p.fits(c)
}

func (p *Pool) give(c *Claim) {
	c.has = true
	p.add(c, c.bytes)
}

func (p *Pool) add(c *Claim, n int64) {
	p.total += n
	for at := c.caller; at != nil; at = at.parent {
		if p.used[at] += n; p.used[at] == 0 {
			delete(p.used, at)
		}
	}
}

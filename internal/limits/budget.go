// Package limits accounts for what peers make a process hold.
//
// A [Budget] belongs to a listening process. It has a [Pool] of bytes for each kind of memory that
// peers fill, and a [Caller] for each peer, which may take a share of each pool. A [Claim] that
// does not fit waits until something is given back, so a burst is slowed and not refused.
package limits

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Budget is the accounts of a process. It is safe for concurrent use.
type Budget struct {
	Limits rpc.Limits
	// Requests has the bytes of requests that do not come in one frame, until their RPCs end.
	Requests *Pool
	// Answers has the bytes of answers that are not small, until they are read or their RPCs end.
	Answers *Pool
	// Decoded has the estimated size of large messages as values, while they wait and run.
	Decoded *Pool

	refusals refusals

	mu      sync.Mutex // guards the callers and the pools
	callers map[string]*Caller
	behind  int // how many callers are remembered that came through gateways
}

// poolShare is the part of the memory that a pool has: a quarter. The garbage collector needs as
// much again as is in use, and the program needs some, too.
const poolShare = 4

// New returns the accounts for limits without a zero field.
func New(l rpc.Limits, log *slog.Logger) *Budget {
	b := &Budget{Limits: l, callers: map[string]*Caller{}, refusals: refusals{log: log}}
	for _, p := range []**Pool{&b.Requests, &b.Answers, &b.Decoded} {
		*p = &Pool{budget: b, size: l.Memory / poolShare, used: map[*Caller]int64{}}
	}
	return b
}

// sharedPart is the part that connections which prove no identity of their own may take together,
// in percent, such as all from one address.
const sharedPart = 75

// Caller is a peer: an identity, or else a connection, whose parent is its address or its user. It
// is safe for concurrent use. A nil Caller has no limits.
type Caller struct {
	budget *Budget
	key    string
	parent *Caller
	// share is its part of each pool and of queues, and workers its part of the workers, in
	// percent.
	share, workers int
	// rate is nil if its messages are not counted. Only callers without a parent have one.
	rate *rate.Limiter
	// carries is true for a gateway that is trusted to name its callers.
	carries atomic.Bool

	conns   int  // guarded by the budget's lock, as the next one
	behind  bool // it came through a gateway
	streams atomic.Int64
}

// Join returns the caller of a new connection: the identity that it proved, or, if that is empty,
// the connection itself, as a part of what it shares with others. It returns nil if the caller has
// all the connections that it may have. Call Leave when the connection ends.
func (b *Budget) Join(identity, shared string) *Caller {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.caller(identity, shared)
	if c.conns >= b.Limits.CallerConnections {
		return nil
	}
	c.conns++
	if identity == "" {
		return &Caller{budget: b, key: c.key, parent: c, share: b.Limits.CallerShare, workers: b.Limits.CallerWorkers}
	}
	return c
}

// caller returns the caller without a parent that has an identity, or else what it shares with
// others. The lock is held.
func (b *Budget) caller(identity, shared string) *Caller {
	key, share, workers := identity, b.Limits.CallerShare, b.Limits.CallerWorkers
	if identity == "" {
		key, share, workers = shared, max(sharedPart, share), max(sharedPart, workers)
	}
	c := b.callers[key]
	if c == nil {
		c = &Caller{budget: b, key: key, share: share, workers: workers, rate: b.newRate()}
		b.callers[key] = c
	}
	return c
}

// Shared returns what connections from an address share that prove no identity.
func Shared(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return "address " + host
}

// newRate returns the count of a caller's messages, nil if they are not counted.
func (b *Budget) newRate() *rate.Limiter {
	if b.Limits.CallerRate == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(b.Limits.CallerRate), b.Limits.CallerRate)
}

// Leave notes the end of a connection.
func (c *Caller) Leave() {
	b, top := c.budget, c.top()
	b.mu.Lock()
	defer b.mu.Unlock()
	if top.conns--; top.conns == 0 && !top.behind {
		delete(b.callers, top.key)
	}
}

// top is the caller that has no parent.
func (c *Caller) top() *Caller {
	if c.parent != nil {
		return c.parent
	}
	return c
}

// Parent returns the caller that this one is a part of, nil if there is none.
func (c *Caller) Parent() *Caller { return c.parent }

// String returns the identity or the address.
func (c *Caller) String() string { return c.key }

// Refused counts a refusal to the caller.
func (c *Caller) Refused(why Reason) { c.budget.Refused(why, c.key) }

// Part returns the share of n that the caller may take: at least 1. Of less than least it may take
// all, since there is nothing to divide.
func (c *Caller) Part(n, least int) int { return c.part(n, least, c.share) }

// PartOfWorkers is Part for the workers of a server.
func (c *Caller) PartOfWorkers(n, least int) int { return c.part(n, least, c.workers) }

func (c *Caller) part(n, least, percent int) int {
	if n < least || c.top().carries.Load() {
		return n
	}
	return max(1, n*percent/100)
}

// IsFast reports whether the caller sends more messages a second than it may. It counts one more.
func (c *Caller) IsFast() bool {
	top := c.top()
	return top.rate != nil && !top.carries.Load() && !top.rate.Allow()
}

// OpenStream notes that an RPC begins.
func (c *Caller) OpenStream() { c.top().streams.Add(1) }

// IsCrowded reports whether the caller has more open RPCs than it may have.
func (c *Caller) IsCrowded() bool {
	return c.top().streams.Load() > int64(c.budget.Limits.CallerStreams)
}

// CloseStreams notes that RPCs have ended.
func (c *Caller) CloseStreams(n int) { c.top().streams.Add(int64(-n)) }

// Package limits accounts for the memory and other resources that peers use in a process.
//
// A [Budget] belongs to a listening process. It has a [Pool] of bytes for each kind of memory that
// peers fill, and a [Caller] for each peer, which may use a share of each pool. A [Claim] that does
// not fit waits until others are released, so a burst is slowed down and not refused.
package limits

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Budget has the accounts of a process. It is safe for concurrent use.
type Budget struct {
	Limits rpc.Limits
	// Requests accounts for requests that need more than one frame, until their RPCs end.
	Requests *Pool
	// Answers accounts for answers that are not small, until they are read or their RPCs end.
	Answers *Pool
	// Decoded accounts for the estimated size of large decoded messages, while they wait and run.
	Decoded *Pool

	refusals refusals

	mu      sync.Mutex // guards the callers and the pools
	callers map[string]*Caller
	behind  int // how many callers are remembered that came through gateways
}

// poolShare is the divisor for the size of a pool: each gets a quarter of Limits.Memory. The rest
// is a reserve, since the garbage collector needs more memory than is in use.
const poolShare = 4

// New returns a budget. No field of the limits may be zero.
func New(l rpc.Limits, log *slog.Logger) *Budget {
	b := &Budget{Limits: l, callers: map[string]*Caller{}, refusals: refusals{log: log}}
	for _, p := range []**Pool{&b.Requests, &b.Answers, &b.Decoded} {
		*p = &Pool{budget: b, size: l.Memory / poolShare, used: map[*Caller]int64{}}
	}
	return b
}

// sharedPart is a share in percent. All connections that prove no identity, but have something in
// common, such as their address, share it.
const sharedPart = 75

// Caller is the account of a peer: of an identity or, without one, of a connection. The parent of a
// connection's account is the account of its address or its user. It is safe for concurrent use. A
// nil Caller has no limits.
type Caller struct {
	budget *Budget
	key    string
	parent *Caller
	// share is the caller's share of each pool and of queues, in percent. Workers is its share of
	// the workers.
	share, workers int
	// rate limits the messages per second. It is nil if there is no such limit. Only callers
	// without a parent have one.
	rate *rate.Limiter
	// carries is true for a gateway that is trusted to name its callers.
	carries atomic.Bool

	conns   int  // guarded by the budget's lock, as the next one
	behind  bool // it came through a gateway
	streams atomic.Int64
}

// Join returns the account of a new connection. With an identity, that is the account of the
// identity. Without one, it is an account of the connection alone, whose parent is the account of
// shared. Join returns nil if the caller has the maximum number of connections. Call Leave when the
// connection ends.
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

// caller returns the caller without a parent for an identity. If the identity is empty, it returns
// the caller for what connections share, such as an address. The lock is held.
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

// Shared returns the key of the account that connections from an address share if they prove no
// identity.
func Shared(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return "address " + host
}

// newRate returns the rate limiter of a caller, or nil if there is no limit.
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

// top returns the caller itself, or its parent.
func (c *Caller) top() *Caller {
	if c.parent != nil {
		return c.parent
	}
	return c
}

// Parent returns the caller that this one is a part of, or nil if there is none.
func (c *Caller) Parent() *Caller { return c.parent }

// String returns the identity, or what the caller shares with others, such as its address.
func (c *Caller) String() string { return c.key }

// Refused counts a refusal of the caller.
func (c *Caller) Refused(why Reason) { c.budget.Refused(why, c.key) }

// Part returns the caller's share of n, at least 1. If n is less than least, Part returns n, since
// there is too little to divide.
func (c *Caller) Part(n, least int) int { return c.part(n, least, c.share) }

// PartOfWorkers is Part for the workers of a server.
func (c *Caller) PartOfWorkers(n, least int) int { return c.part(n, least, c.workers) }

func (c *Caller) part(n, least, percent int) int {
	if n < least || c.top().carries.Load() {
		return n
	}
	return max(1, n*percent/100)
}

// IsFast counts a message, and reports whether the caller exceeds its rate.
func (c *Caller) IsFast() bool {
	top := c.top()
	return top.rate != nil && !top.carries.Load() && !top.rate.Allow()
}

// OpenStream notes that an RPC begins.
func (c *Caller) OpenStream() { c.top().streams.Add(1) }

// IsCrowded reports whether the caller has more open RPCs than allowed.
func (c *Caller) IsCrowded() bool {
	return c.top().streams.Load() > int64(c.budget.Limits.CallerStreams)
}

// CloseStreams notes that RPCs have ended.
func (c *Caller) CloseStreams(n int) { c.top().streams.Add(int64(-n)) }

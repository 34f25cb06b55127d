package memcarrier

import (
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Carrier sends messages over a network. It is safe for concurrent use.
type Carrier struct {
	network *Network
	caller  string
	maxSize int // 0 for no bound
	closed  atomic.Bool

	mu    sync.Mutex
	links map[carrier.Key]*Link
	all   map[*Link]bool // the renewed ones, too
	ready chan struct{}  // closed when a link becomes ready
}

var (
	_ carrier.Carrier = (*Carrier)(nil)
	_ carrier.Link    = (*Link)(nil)
	_ carrier.Stream  = (*stream)(nil)
)

// Carrier returns the carrier of a process. Caller is its name. MaxSize bounds requests and
// results; 0 for no bound.
func (n *Network) Carrier(caller string, maxSize int) *Carrier {
	return &Carrier{
		network: n, caller: caller, maxSize: maxSize,
		links: map[carrier.Key]*Link{}, all: map[*Link]bool{}, ready: make(chan struct{}),
	}
}

// Get implements [carrier.Carrier].
func (c *Carrier) Get(key carrier.Key) carrier.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	key.Unary, key.Exchange, key.Topic = false, "", ""
	return c.get(key)
}

// get is Get with the lock held.
func (c *Carrier) get(key carrier.Key) *Link {
	l := c.links[key]
	if l == nil {
		l = newLink(key, c)
		c.links[key], c.all[l] = l, true
	}
	l.holders++
	return l
}

// Put implements [carrier.Carrier].
func (c *Carrier) Put(link carrier.Link) {
	l := link.(*Link)
	c.mu.Lock()
	l.holders--
	last := l.holders == 0
	if last && c.links[l.key] == l {
		delete(c.links, l.key)
	}
	c.mu.Unlock()
	if last {
		l.places.retire(l.close)
	}
}

// Renew implements [carrier.Carrier].
func (c *Carrier) Renew(link carrier.Link) carrier.Link {
	old := link.(*Link)
	c.mu.Lock()
	if c.links[old.key] == old {
		delete(c.links, old.key)
	}
	renewed := c.get(old.key)
	c.mu.Unlock()
	c.Put(old)
	return renewed
}

// BecameReady implements [carrier.Carrier].
func (c *Carrier) BecameReady() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

func (c *Carrier) tellReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ready)
	c.ready = make(chan struct{})
}

// Check implements [carrier.Carrier].
func (c *Carrier) Check(r *carrier.Request) error {
	n := len(r.Kwargs) + len(r.Context)
	if r.Typed != nil {
		if n = 0; r.Typed.Message != nil {
			n = proto.Size(r.Typed.Message)
		}
	}
	if c.fits(n) {
		return nil
	}
	e := c.tooLarge(n)
	e.NotStarted = true
	return e
}

func (c *Carrier) fits(n int) bool { return c.maxSize == 0 || n <= c.maxSize }

// tooLarge is the error for a request of n bytes.
func (c *Carrier) tooLarge(n int) *rpc.Error {
	return &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
		"the request has %d bytes, and the limit is %d: send less at a time", n, c.maxSize)}
}

// takes returns an error if a result of n bytes is too large.
func (c *Carrier) takes(n int) error {
	if c.fits(n) {
		return nil
	}
	return &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
		"the method ran, and its result has %d bytes where this client takes %d: ask for less at a time", n, c.maxSize)}
}

// Close implements [carrier.Carrier].
func (c *Carrier) Close() {
	c.closed.Store(true)
	c.mu.Lock()
	all := c.all
	c.all = map[*Link]bool{}
	c.mu.Unlock()
	for l := range all {
		l.close()
	}
}

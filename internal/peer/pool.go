package peer

import (
	"maps"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// Pool has the peers of a process. It is safe for concurrent use.
type Pool struct {
	dial     dialer
	expiry   time.Duration // zero if it is not known
	verifier *verifier     // nil if servers need not prove their names
	named    bool          // each topic of a process has its own connection

	mu    sync.Mutex
	peers map[carrier.Key]*Peer

	// attending guards attended, the peers that have a connection, and leave, which ends the
	// goroutine that checks them.
	attending sync.Mutex
	attended  map[*Peer]struct{}
	leave     chan struct{}

	readying sync.Mutex
	ready    chan struct{} // closed when a peer became ready
	told     time.Time     // when a ready channel was last closed
	telling  bool          // a timer will close ready
}

// NewPool returns a pool.
func NewPool(config Config) *Pool {
	v := config.verifier()
	return &Pool{dial: config.dialer(v), verifier: v, expiry: config.Expiry, named: config.naming() != nil, peers: map[carrier.Key]*Peer{}, attended: map[*Peer]struct{}{}, ready: make(chan struct{})}
}

// Get returns the peer for a remote process. A new peer is not connected yet. Each Get needs a Put.
func (p *Pool) Get(key carrier.Key) *Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	key.Unary = false
	if !p.named {
		key.Exchange, key.Topic = "", ""
	}
	return p.get(key)
}

// get is Get with the lock held.
func (p *Pool) get(key carrier.Key) *Peer {
	peer, ok := p.peers[key]
	if !ok {
		peer = newPeer(key, p)
		p.peers[key] = peer
	}
	peer.holders++
	return peer
}

// Renew releases a peer whose connection leads to the wrong process, and returns a replacement with
// its own connection. RPCs on the old connection go on. Each Renew needs a Put.
func (p *Pool) Renew(old *Peer) *Peer {
	p.mu.Lock()
	if p.peers[old.key] == old {
		delete(p.peers, old.key)
	}
	renewed := p.get(old.key)
	p.mu.Unlock()
	p.Put(old)
	return renewed
}

// Close closes all connections; RPCs that run on them fail.
func (p *Pool) Close() {
	all := map[*Peer]struct{}{}
	p.mu.Lock()
	for _, peer := range p.peers {
		all[peer] = struct{}{}
	}
	p.mu.Unlock()
	p.attending.Lock() // it includes the renewed peers, too
	maps.Copy(all, p.attended)
	p.attending.Unlock()
	for peer := range all {
		peer.close()
	}
}

// Put releases a peer. After the last Put, its connection is closed as soon as no RPC runs on it.
func (p *Pool) Put(peer *Peer) {
	p.mu.Lock()
	peer.holders--
	last := peer.holders == 0
	if last && p.peers[peer.key] == peer {
		delete(p.peers, peer.key)
	}
	p.mu.Unlock()
	if last {
		peer.leave()
	}
}

// tellTime is the minimum interval between two wake-ups of the callers that wait for any peer to
// become ready. Many peers may become ready at once.
const tellTime = 10 * time.Millisecond

// BecameReady returns a channel that is closed when a peer becomes ready after this call, or begins
// to answer again.
func (p *Pool) BecameReady() <-chan struct{} {
	p.readying.Lock()
	defer p.readying.Unlock()
	return p.ready
}

func (p *Pool) tellReady() {
	p.readying.Lock()
	defer p.readying.Unlock()
	if p.telling {
		return
	}
	if wait := tellTime - time.Since(p.told); wait > 0 {
		p.telling = true
		time.AfterFunc(wait, func() {
			p.readying.Lock()
			defer p.readying.Unlock()
			p.tellNow()
		})
		return
	}
	p.tellNow()
}

// tellNow wakes the waiting callers. The lock is held.
func (p *Pool) tellNow() {
	p.telling, p.told = false, time.Now()
	close(p.ready)
	p.ready = make(chan struct{})
}

package peer

import (
	"sync"

	"google.golang.org/grpc"
)

// Pool has the peers of a process. It is safe for concurrent use.
type Pool struct {
	dial func(addr string) (*grpc.ClientConn, error)

	mu    sync.Mutex
	peers map[Key]*held
}

type held struct {
	peer *Peer
	refs int
}

// NewPool returns a pool whose peers are connected to with these options, after our own.
func NewPool(options ...grpc.DialOption) *Pool {
	return &Pool{dial: dialer(options), peers: map[Key]*held{}}
}

// Get returns the peer for a remote process, not yet connected if it is new. Each Get must be undone with Put.
func (p *Pool) Get(key Key) *Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.peers[key]
	if !ok {
		h = &held{peer: newPeer(key, p.dial)}
		p.peers[key] = h
	}
	h.refs++
	return h.peer
}

// Close closes all connections; RPCs that run on them fail.
func (p *Pool) Close() {
	p.mu.Lock()
	var all []*Peer
	for _, h := range p.peers {
		all = append(all, h.peer)
	}
	p.mu.Unlock()
	for _, peer := range all {
		peer.close()
	}
}

// Put gives a peer back. After the last one, its connection is closed as soon as no RPC runs on it.
func (p *Pool) Put(peer *Peer) {
	p.mu.Lock()
	h := p.peers[peer.key]
	h.refs--
	last := h.refs == 0
	if last {
		delete(p.peers, peer.key)
	}
	p.mu.Unlock()
	if last {
		peer.Release()
	}
}

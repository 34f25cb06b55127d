package inbound

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/limits"
)

// guard enforces the limits on a connection. It parses the frames of both directions, between gRPC
// and the connection of the credentials:
//
//   - A request that needs more than one frame has a claim on the budget while its RPC is open.
//     Until the claim is granted, the guard holds back the window updates of its stream, so that
//     the peer sends no more than the first window.
//   - An answer that is not small has a claim until it is written. See [Conn.Answer].
//   - A stream without progress is reset, for the peer and for gRPC.
//
// Locks are taken in this order: writing, mu, and then the locks of package limits.
type guard struct {
	conn   net.Conn
	budget *limits.Budget
	caller *limits.Caller

	// writing is held during writes. It guards out and the fields after it.
	writing  sync.Mutex
	out      frames
	keeping  *stream      // whose window update, on its way out, is kept back
	kept     []byte       // of its content
	rewrites []byte       // what is written in place of what gRPC wrote
	waits    []byte       // frames of ours that wait until no frame is on its way
	written  atomic.Int64 // since when a write lasts, in nanoseconds; 0 if none does

	mu      sync.Mutex // guards what follows
	in      frames
	pad     int // padding at the end of the frame on its way in; -1 before it is known
	last    uint32
	open    map[uint32]struct{} // the streams that are open
	streams map[uint32]*stream  // the open streams with an account; mostly none
	moved   time.Time           // when a part of a frame came last
	inject  []byte              // frames for gRPC to read
	woken   bool                // the read deadline has passed to wake the reader
	ticker  *time.Timer         // nil until something must be watched
	ticking bool
	closed  bool
	// accounts has the accounts of the identities that tokens proved on the connection.
	accounts map[string]*limits.Caller
}

// stream is an open RPC that holds or awaits claims, or makes progress that the guard must watch.
type stream struct {
	content content
	claim   *limits.Claim // of the request
	waits   bool          // the claim is not granted
	kept    uint32        // the window that is kept back
	begun   time.Time     // when the message could come
	moved   time.Time     // when a part of it came

	decoded *limits.Claim // of the message as values

	answers  []*limits.Claim
	reserved int       // bytes of an answer that comes next
	unread   int       // bytes of answers that are not written
	progress time.Time // when a part of them was written
}

const (
	// StreamWindow is how much of a request a peer may send before the server asks for more, in
	// bytes. It must not grow dynamically, as gRPC's window does by default: the guard cannot hold
	// back bytes that a larger window lets in.
	StreamWindow = 64 << 10
	// ConnWindow is how many bytes of all requests a peer may have on the way to the server.
	ConnWindow = 1 << 20
)

func newGuard(conn net.Conn, budget *limits.Budget, caller *limits.Caller) *guard {
	return &guard{conn: conn, budget: budget, caller: caller, in: frames{skip: prefaceSize}, open: map[uint32]struct{}{}, streams: map[uint32]*stream{}}
}

// taken handles bytes that the peer sent. A read may return bytes while the connection is being
// closed. Its account has then already ended.
func (g *guard) taken(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	for len(b) > 0 {
		n, begins := g.in.next(b)
		if begins {
			g.begin(g.in.frame)
		} else if g.in.frame.kind == typeData {
			g.content(b[:n])
		}
		b = b[n:]
	}
	if g.in.within() {
		g.moved = time.Now()
		g.watch()
	}
}

// begin handles the header of a frame of the peer. The caller holds the lock.
func (g *guard) begin(f frame) {
	g.pad = 0
	switch f.kind {
	case typeHeaders:
		if f.stream > g.last {
			g.last = f.stream
			g.open[f.stream] = struct{}{}
			g.caller.OpenStream()
		}
	case typeReset:
		g.end(f.stream)
	case typeData:
		if f.has(flagPadded) {
			g.pad = -1
		}
		if s := g.streams[f.stream]; s != nil && f.length == 0 {
			g.ended(s, f)
		}
	}
}

// content handles a part of a DATA frame. The caller holds the lock.
func (g *guard) content(b []byte) {
	f := g.in.frame
	s := g.streams[f.stream]
	if s == nil && f.has(flagEndStream) { // most requests are whole
		return
	}
	if s = g.account(f.stream); s == nil {
		return
	}
	if g.pad < 0 && len(b) > 0 {
		g.pad, b = int(b[0]), b[1:]
	}
	if over := g.pad - g.in.left; over > 0 {
		b = b[:max(0, len(b)-over)]
	}
	s.moved = time.Now()
	if s.content.take(b) {
		s.claim.Release()
		s.claim, s.waits, s.begun = nil, false, s.moved
	}
	if g.in.left == 0 {
		g.ended(s, f)
	}
}

// ended handles the end of a DATA frame. The caller holds the lock.
func (g *guard) ended(s *stream, f frame) {
	if f.has(flagEndStream) {
		s.content = content{}
		return
	}
	if s.content.within() {
		if s.claim == nil {
			g.claim(f.stream, s)
		}
		g.watch()
	}
}

// claim claims room for the incomplete message. The caller holds the lock.
func (g *guard) claim(id uint32, s *stream) {
	n := min(s.content.length, g.budget.Limits.MessageSize+connection.SizeSlack) // gRPC refuses more
	claim, has := g.budget.Requests.Claim(g.caller, n, func() { go g.granted(id, s) })
	s.claim, s.waits = claim, !has
}

// granted lets the peer send the rest of a message after its claim was granted.
func (g *guard) granted(id uint32, s *stream) {
	g.mu.Lock()
	if !s.waits || !s.claim.Granted() {
		g.mu.Unlock()
		return
	}
	kept := s.kept
	s.waits, s.kept = false, 0
	s.begun = time.Now()
	s.moved = s.begun
	g.mu.Unlock()
	if kept > 0 {
		g.send(number(typeWindowUpdate, id, kept))
	}
}

// end notes that a stream has ended. The caller holds the lock.
func (g *guard) end(id uint32) {
	if _, open := g.open[id]; !open {
		return
	}
	delete(g.open, id)
	g.caller.CloseStreams(1)
	if s := g.streams[id]; s != nil {
		delete(g.streams, id)
		s.release()
	}
}

// account returns the account of a stream, and creates it if necessary. It returns nil if the
// stream is not open. The caller holds the lock.
func (g *guard) account(id uint32) *stream {
	if s := g.streams[id]; s != nil {
		return s
	}
	if _, open := g.open[id]; !open {
		return nil
	}
	s := &stream{}
	g.streams[id] = s
	return s
}

// release releases all claims of a stream.
func (s *stream) release() {
	s.claim.Release()
	s.decoded.Release()
	s.claim, s.decoded, s.waits = nil, nil, false
	s.read()
}

// read releases the claims of a stream for answers.
func (s *stream) read() {
	for _, claim := range s.answers {
		claim.Release()
	}
	s.answers, s.unread, s.reserved = nil, 0, 0
}

// close ends the account of the connection.
func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.ticker != nil {
		g.ticker.Stop()
	}
	g.caller.CloseStreams(len(g.open))
	for _, s := range g.streams {
		s.release()
	}
	g.open, g.streams = nil, nil
	for _, account := range g.accounts {
		account.Leave()
	}
	g.accounts = nil
	g.caller.Leave()
}

// claimAnswer claims room for n bytes of an answer on a stream, and waits for the claim.
func (g *guard) claimAnswer(ctx context.Context, id uint32, n int, reserve bool) error {
	claim, err := g.budget.Answers.Acquire(ctx, g.callerOf(ctx), n)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.account(id)
	if s == nil {
		claim.Release()
		return context.Canceled
	}
	s.answers = append(s.answers, claim)
	if reserve {
		s.reserved += n
		return nil
	}
	g.hand(s, n)
	return nil
}

// takeReserved uses the reservation of a stream for an answer of n bytes. It returns false if there
// is no reservation.
func (g *guard) takeReserved(id uint32, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.streams[id]
	if s == nil || s.reserved == 0 {
		return false
	}
	s.reserved = 0 // the estimate was near enough
	g.hand(s, n)
	return true
}

// hand records that n bytes of an answer are passed to gRPC. The caller holds the lock.
func (g *guard) hand(s *stream, n int) {
	s.unread += n
	s.progress = time.Now()
	g.watch()
}

// forget releases the claims of a stream for answers.
func (g *guard) forget(id uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.streams[id]; s != nil {
		s.read()
	}
}

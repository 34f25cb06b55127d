// Package session is a carrier that sends small messages on one stream per process, which is called
// a session. That costs less than an RPC for each message. A session outlives its stream: when the
// connection breaks, the client opens another stream, and asks the server for the outcome of each
// message.
//
// All other messages are sent as package grpccarrier does: messages that are large or have several
// parts, messages of programs with gRPC options or with tokens, and all messages while there is no
// session, or no session with credit. So no message fails for lack of a session. The first message
// does not wait for a session. Later messages wait a moment for a lost session that is being
// resumed.
//
// docs/protocol.md has the obligations of both ends.
package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/peer"
)

// Carrier sends messages in sessions. It is safe for concurrent use.
type Carrier struct {
	*grpccarrier.Carrier

	config Config
	// life ends when the carrier is closed.
	life context.Context //nolint:containedctx // It is the carrier's own.
	end  context.CancelFunc
	// pendings has ended messages whose memory is reused.
	pendings sync.Pool

	mu       sync.Mutex // guards what follows
	closed   bool
	links    map[*peer.Peer]*link
	sessions map[*session]bool
	running  sync.WaitGroup // what the sessions do
}

// Config is the configuration of a carrier.
type Config struct {
	// Always tries sessions even with processes that do not announce them. The first messages then
	// wait a moment for the session.
	Always bool
	// Eager makes a link open its session when it connects, and not with its first message.
	Eager bool
}

var (
	_ carrier.Carrier = (*Carrier)(nil)
	_ carrier.Link    = (*link)(nil)
	_ carrier.Starter = (*link)(nil)
)

// New returns a carrier that uses the connections of inner, and sends messages outside sessions
// with inner. It closes inner when it is closed.
func New(inner *grpccarrier.Carrier, config Config) *Carrier {
	c := &Carrier{Carrier: inner, config: config, links: map[*peer.Peer]*link{}, sessions: map[*session]bool{}}
	c.pendings.New = func() any { return &pending{done: make(chan struct{}, 1)} }
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Get implements [carrier.Carrier].
func (c *Carrier) Get(key carrier.Key) carrier.Link {
	return c.hold(c.Carrier.Get(key).(grpccarrier.Link), key)
}

// hold returns the link on a connection.
func (c *Carrier) hold(inner grpccarrier.Link, key carrier.Key) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.links[inner.Peer]
	if l == nil {
		l = &link{Link: inner, carrier: c, key: key, known: c.config.Always}
		c.links[inner.Peer] = l
	}
	l.holders++
	if !key.Unary {
		l.announced.Store(true)
	}
	return l
}

// drop gives a link back.
func (c *Carrier) drop(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.holders--; l.holders == 0 {
		l.vanished = l.unlisted > 0
		delete(c.links, l.Peer)
		if l.large != nil {
			c.Carrier.Put(l.large)
		}
	}
}

// Put implements [carrier.Carrier].
func (c *Carrier) Put(of carrier.Link) {
	l := of.(*link)
	c.drop(l)
	c.Carrier.Put(l.Link)
}

// Unlist implements [carrier.Link].
func (l *link) Unlist(is bool) {
	l.carrier.mu.Lock()
	defer l.carrier.mu.Unlock()
	if is {
		l.unlisted++
	} else {
		l.unlisted--
	}
}

// isUnlisted reports whether discovery no longer lists any instance of the process. A process that
// is no longer watched keeps the last state.
func (l *link) isUnlisted() bool {
	l.carrier.mu.Lock()
	defer l.carrier.mu.Unlock()
	return l.vanished || l.holders > 0 && l.unlisted == l.holders
}

// isDirect reports whether connections to the address can only be refused by the process itself:
// the process announced an address on this machine.
func (l *link) isDirect() bool { return l.key.BootID != "" && connection.IsLocal(l.key.Addr) }

// Renew implements [carrier.Carrier].
func (c *Carrier) Renew(of carrier.Link) carrier.Link {
	l := of.(*link)
	c.drop(l)
	return c.hold(c.Carrier.Renew(l.Link).(grpccarrier.Link), l.key)
}

// Close implements [carrier.Carrier]. It tells servers that their sessions have ended, so that they
// do not wait for another stream.
func (c *Carrier) Close() {
	c.mu.Lock()
	c.closed = true
	told := false
	for s := range c.sessions {
		told = s.quit() || told
	}
	c.mu.Unlock()
	if told {
		late := time.AfterFunc(partingTime, c.end)
		c.running.Wait()
		late.Stop()
	}
	c.end()
	c.Carrier.Close()
	c.running.Wait()
}

// partingTime bounds the time to tell servers that sessions have ended.
const partingTime = 250 * time.Millisecond

// start runs a session, which ends soon after the carrier is closed. It calls done when the session
// has ended.
func (c *Carrier) start(s *session, done func(ending)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		s.link.came(false)
		return
	}
	c.sessions[s] = true
	c.running.Go(func() {
		done(s.run(c.life))
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sessions, s)
	})
}

// link is the link to a process.
type link struct {
	grpccarrier.Link

	carrier *Carrier
	key     carrier.Key
	// holders is how many instances use the link, and unlisted how many of these discovery no
	// longer lists. Both are guarded by the lock of the carrier.
	holders, unlisted int
	// large is the connection for large messages, or nil. It is guarded by the lock of the carrier.
	large carrier.Link
	// vanished is true if the last instance that used the link was no longer listed.
	vanished bool

	// announced is true if the process announced that it accepts sessions.
	announced atomic.Bool
	// asked is true once a message has asked for a session.
	asked atomic.Bool
	// current is the session that accepts messages, or nil.
	current atomic.Pointer[session]
	// next is the earliest time to begin a session, in Unix nanoseconds.
	next atomic.Int64
	// failed counts the sessions in a row that failed soon. It belongs to the goroutine that begins
	// sessions.
	failed int

	waiting sync.Mutex // guards what follows
	// known is true if the process has a session, or lost one, or can be expected to get one.
	known bool
	// met is true if the process had a session. Messages then wait longer for the next one.
	met bool
	// coming is closed when the opening session accepts messages or was given up. It is nil while
	// there is none worth waiting for. Messages wait until late.
	coming chan struct{}
	late   time.Time
}

const (
	// never is the value of next while a session exists or is being opened.
	never = int64(1<<63 - 1)
	// firstBackoff and maxBackoff bound the time after a failed session until the next attempt. A
	// session that was accepted and lasted for firstBackoff did not fail.
	firstBackoff, maxBackoff = 500 * time.Millisecond, time.Minute
	// maxShort is how many sessions in a row may end sooner than that before the next one must
	// wait.
	maxShort = 2
	// awayTime is the time until the next attempt if the server cannot be reached. It is short,
	// because the server may be back at any time, and messages wait for its session.
	awayTime = 200 * time.Millisecond
	// minStreams is how many concurrent streams a process must allow before one of them is used for
	// a session.
	minStreams = 16
	// maxBody is the maximum size of the content of a message in a session, in bytes.
	maxBody = 32 << 10
	// returnTime is how long a message waits for another stream to a process that had a session:
	// only in a session can it ask for its outcome later. A message with a deadline waits at most
	// half of the time that is left. FirstTime is how long a message waits for the first session of
	// a process.
	returnTime, firstTime = 10 * time.Second, 3 * time.Second
)

// Connect implements [carrier.Link].
func (l *link) Connect(ctx context.Context) error {
	err := l.Link.Connect(ctx)
	if err == nil && l.carrier.config.Eager && l.current.Load() == nil {
		l.begin(identity.Server{})
	}
	return err
}

// Do implements [carrier.Link].
func (l *link) Do(ctx context.Context, r *carrier.Request) (carrier.Reply, error) {
	var end time.Time
	for s := l.sessionFor(ctx, r, &end); s != nil; s = l.sessionFor(ctx, r, &end) {
		reply, err, how := s.do(ctx, r)
		if how == isSent {
			return reply, err
		}
		if how == unsuitable || !end.IsZero() && time.Now().After(end) {
			break
		}
	}
	return l.beside(ctx, r)
}

// sessionFor returns the session for a message, or nil. The first messages begin a session but do
// not wait for it. If a session is known to be possible, a message waits for it until end. End is
// zero until the message has waited.
func (l *link) sessionFor(ctx context.Context, r *carrier.Request, end *time.Time) *session {
	if !l.takes(r) {
		return nil
	}
	s := l.current.Load()
	if s == nil {
		if s = l.expect(ctx, r, end); s == nil {
			return nil
		}
	}
	server := s.server.Load()
	if l.Line() != server.line { // gRPC has another connection, as when certificates are new
		s.retire()
		if s = l.expect(ctx, r, end); s == nil {
			return nil
		}
		server = s.server.Load()
	}
	if !l.Proves(server.security, r.Meant) {
		return nil // the RPC says why
	}
	return s
}

// await waits until end for the session of a process that had one, while it is likely to come. It
// returns nil if none came.
func (l *link) await(ctx context.Context, end time.Time) *session {
	l.waiting.Lock()
	coming, patience := l.coming, min(time.Until(l.late), time.Until(end))
	l.waiting.Unlock()
	if coming == nil || patience <= 0 {
		return l.current.Load()
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-coming:
	case <-late.C:
	case <-ctx.Done():
	}
	return l.current.Load()
}

func (l *link) isKnown() bool {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	return l.known
}

// comes notes that a session of the process is being opened. Messages wait for it if the process
// had one before.
func (l *link) comes() {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	if l.known && l.coming == nil {
		l.coming, l.late = make(chan struct{}), time.Now().Add(returnTime)
	}
}

// came notes that messages need not wait any longer. Known says whether messages should wait for
// the next session.
func (l *link) came(known bool) {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	l.known = known
	if l.coming != nil {
		close(l.coming)
		l.coming = nil
	}
}

// suits reports whether a message may be sent in a session.
func suits(r *carrier.Request) bool {
	t := r.Typed
	switch {
	case r.Mode == carrier.Multicall, r.Missed > 0:
		return false
	case t == nil:
		return len(r.Kwargs)+len(r.Context) <= maxBody
	case t.Message == nil:
		return false
	}
	for _, o := range t.Options {
		switch o.(type) {
		case grpc.StaticMethodCallOption, grpc.FailFastCallOption: // these options do not concern the message
		default:
			return false
		}
	}
	_, ok := t.Result.(proto.Message)
	return ok && proto.Size(t.Message)+len(r.Context) <= maxBody
}

// begin begins a session in the background, unless there is one or it is too early. Meant is the
// server of the first message.
func (l *link) begin(meant identity.Server) {
	next := l.next.Load()
	if time.Now().UnixNano() < next || l.Capacity() < minStreams || !l.next.CompareAndSwap(next, never) {
		return
	}
	begun, s := time.Now(), newSession(l, meant)
	l.comes()
	l.carrier.start(s, func(how ending) {
		if s.isRetired() { // another may have begun
			return
		}
		l.came(how == lost && l.isKnown()) // before the next one comes
		if how == lost && l.hasMet() && !l.Mistrusted() && !l.Health().Connected() {
			l.next.Store(time.Now().Add(jittered(awayTime)).UnixNano())
			return
		}
		if l.failed++; how != refused && time.Since(begun) > firstBackoff {
			l.failed = 0
		}
		failed := l.failed
		if how != refused {
			failed -= maxShort
		}
		if failed <= 0 {
			l.next.Store(0)
			return
		}
		l.next.Store(time.Now().Add(jittered(min(firstBackoff<<min(failed-1, 10), maxBackoff))).UnixNano())
	})
}

// Package session is a carrier that moves small messages on one stream for each process, a session,
// which costs less than an RPC for each. A session outlives its stream: when the connection breaks,
// the client opens another stream, and asks the server what became of each message.
//
// Everything else travels as package grpccarrier moves it: messages that are large or have several
// parts, messages of programs with options of gRPC or with tokens, and all messages while there is
// no session, or none with credit. So no message fails because there is no session. The first one
// does not wait for it; messages wait a moment for a session that was lost and is being resumed.
//
// docs/protocol.md says what the two ends owe each other.
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

// Carrier moves messages in sessions. It is safe for concurrent use.
type Carrier struct {
	*grpccarrier.Carrier

	config Config
	// life ends when the carrier is closed.
	life context.Context //nolint:containedctx // It is the carrier's own.
	end  context.CancelFunc
	// pendings keeps the ended ones for the next messages.
	pendings sync.Pool

	mu       sync.Mutex // guards what follows
	closed   bool
	links    map[*peer.Peer]*link
	sessions map[*session]bool
	running  sync.WaitGroup // what the sessions do
}

// Config says how a carrier makes sessions.
type Config struct {
	// Always has sessions tried with processes that do not announce them, too, and the first
	// messages wait a moment for theirs.
	Always bool
	// Eager has a link open its session when it connects, instead of with its first message.
	Eager bool
}

var (
	_ carrier.Carrier = (*Carrier)(nil)
	_ carrier.Link    = (*link)(nil)
	_ carrier.Starter = (*link)(nil)
)

// New returns a carrier that has the connections of another one, and sends messages beside sessions
// over it. It closes the other one.
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

// isUnlisted reports whether discovery lists no instance of the process any more. One that has not
// been watched any more since is believed to be listed.
func (l *link) isUnlisted() bool {
	l.carrier.mu.Lock()
	defer l.carrier.mu.Unlock()
	return l.vanished || l.holders > 0 && l.unlisted == l.holders
}

// isDirect reports whether nothing but the process itself can refuse connections at its address: it
// announced one of this machine.
func (l *link) isDirect() bool { return l.key.BootID != "" && connection.IsLocal(l.key.Addr) }

// Renew implements [carrier.Carrier].
func (c *Carrier) Renew(of carrier.Link) carrier.Link {
	l := of.(*link)
	c.drop(l)
	return c.hold(c.Carrier.Renew(l.Link).(grpccarrier.Link), l.key)
}

// Close implements [carrier.Carrier]. It tells servers that their sessions are over, so that they
// need not wait for another stream.
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

// partingTime bounds how long servers have to hear that sessions are over.
const partingTime = 250 * time.Millisecond

// start has a session run, which ends soon after the carrier is closed, and calls done at its end.
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

// link is the way to a process.
type link struct {
	grpccarrier.Link

	carrier *Carrier
	key     carrier.Key
	// How many instances have the link, and how many of these discovery does not list any more;
	// both are guarded by the lock of the carrier.
	holders, unlisted int
	// large is the connection for large messages, which the lock guards, too; nil for none yet.
	large carrier.Link
	// vanished: the last instance that had the link was not listed any more.
	vanished bool

	// announced says that the process may take sessions.
	announced atomic.Bool
	// asked says that a message asked for a session.
	asked atomic.Bool
	// current takes messages; nil if none does.
	current atomic.Pointer[session]
	// next is when a session may be begun, in Unix nanoseconds.
	next atomic.Int64
	// failed is how often in a row a session failed soon; only the one that begins touches it.
	failed int

	waiting sync.Mutex // guards what follows
	// known: the process has a session, or had one that was lost, or one is to be had.
	known bool
	// met: the process had a session. Messages wait longer for the next one.
	met bool
	// coming is closed when the session that is being opened takes messages, or is given up; nil
	// while none is worth waiting for. Messages wait until late.
	coming chan struct{}
	late   time.Time
}

const (
	// never is while a session is there or being opened.
	never = int64(1<<63 - 1)
	// firstBackoff and maxBackoff bound the time until a session is tried again that failed. One
	// that was taken, and lasted for firstBackoff, did not fail.
	firstBackoff, maxBackoff = 500 * time.Millisecond, time.Minute
	// maxShort is how many sessions in a row may end sooner before the next has to wait.
	maxShort = 2
	// awayTime is the time until a session is tried again whose server cannot be reached: the server
	// may be back at any time, and messages wait for its session.
	awayTime = 200 * time.Millisecond
	// minStreams is how many streams a process must take at a time so that one can be a session.
	minStreams = 16
	// maxBody is the size of the largest content of a message in a session, in bytes.
	maxBody = 32 << 10
	// returnTime is how long a message waits for the session of a process that had one, while
	// another stream is opened: in a session, its outcome can be asked for. One with a deadline
	// waits for half of the time that it has, at most. For the first session of a process, it waits
	// for firstTime.
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

// sessionFor returns the session for a message; nil for none. The first messages have one begin,
// and do not wait for it, unless one is known to be had: then they wait until end, which is zero
// until the message has waited.
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

// await waits until end for the session of a process that had one, as long as it is likely to come;
// nil if it does not.
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

// comes notes that a session of the process is being opened, which messages wait for if it had one.
func (l *link) comes() {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	if l.known && l.coming == nil {
		l.coming, l.late = make(chan struct{}), time.Now().Add(returnTime)
	}
}

// came notes that messages need not wait any more, and whether they are to wait for the session
// after this one.
func (l *link) came(known bool) {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	l.known = known
	if l.coming != nil {
		close(l.coming)
		l.coming = nil
	}
}

// suits reports whether a message may travel in a session.
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
		case grpc.StaticMethodCallOption, grpc.FailFastCallOption: // they say nothing of the message
		default:
			return false
		}
	}
	_, ok := t.Result.(proto.Message)
	return ok && proto.Size(t.Message)+len(r.Context) <= maxBody
}

// begin begins a session in the background, unless there is one, or it is too early. The server is
// the one that the first message is meant for.
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

package peer

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// burst is how many unanswered messages a peer may have, after which others are preferred. It
// limits how many messages a peer that freezes gets before it is found to be silent. A healthy peer
// acknowledges most messages at once, because gRPC measures its connections.
const burst = 2

// alertTime is how long a client waits for the reason of a server that hangs up.
const alertTime = 50 * time.Millisecond

// line observes one connection to a peer. Its methods are safe for concurrent use.
type line struct {
	net.Conn

	sight *sight
	begun time.Time
	// encrypted finds out whether the process at the address speaks TLS. It is nil if this end does.
	encrypted func(context.Context) bool
	// reads counts the reads that returned data.
	reads atomic.Uint64
	// heard is how many messages had been sent when something came last.
	heard atomic.Int64
	// limit is how many streams the peer allows at a time.
	limit atomic.Int64

	frames  frames      // only reading touches it
	strange bool        // what came first is not HTTP/2
	greeted atomic.Bool // the first frame came, and is what HTTP/2 begins with
	closed  atomic.Bool
	lost    atomic.Bool // it ended after the peer greeted, and not by this end
	failed  atomic.Bool // it ended before the peer greeted, and the sight knows why
	late    *time.Timer // ends an attempt to connect that takes too long
}

func newLine(conn net.Conn, s *sight) *line {
	l := &line{Conn: conn, sight: s, begun: time.Now()}
	l.limit.Store(math.MaxInt64)
	l.heard.Store(s.sent())
	l.late = time.AfterFunc(attemptTime, func() {
		if !l.greeted.Load() {
			l.closed.Store(true)
			_ = l.Conn.Close() // gRPC notices
		}
	})
	return l
}

// Read records that data came.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.reads.Add(1)
		l.hear()
		l.follow(b[:n])
	}
	if err != nil && !l.greeted.Load() {
		f := l.unfinished(err)
		if f.trouble == hungUp && l.encrypted != nil && l.reads.Load() == 0 && l.encrypted(context.Background()) {
			f = fault{trouble: mistrusted, distrust: needsTLS, err: err}
		}
		l.fail(f)
	} else if err != nil && !l.closed.Load() {
		l.lost.Store(true)
	}
	return n, err
}

// Write records why the peer does not take the client's first data. With TLS 1.3, a client ends its
// handshake before the server checks the client's certificate. When a write fails, the alert of a
// server that rejects the certificate may have arrived.
func (l *line) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	if err != nil && !l.greeted.Load() && !l.closed.Load() {
		_ = l.SetReadDeadline(time.Now().Add(alertTime))
		if _, why := l.Conn.Read(make([]byte, 1)); why != nil && distrust(why) != "" {
			l.fail(l.unfinished(why))
		}
	}
	return n, err
}

// Close closes the connection.
func (l *line) Close() error {
	l.closed.Store(true)
	l.late.Stop()
	return l.Conn.Close()
}

// fail records in the sight why the connection ended before the peer sent its preface. The first
// fault is the cause; later ones are its consequences.
func (l *line) fail(f fault) {
	if !l.failed.Swap(true) {
		l.sight.failed(f)
	}
}

// unfinished returns the fault of a connection that ended before the peer sent its preface.
func (l *line) unfinished(err error) fault {
	switch {
	case l.closed.Load(), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe): // by us
		return fault{trouble: hung}
	case errors.Is(err, io.EOF):
		return fault{trouble: hungUp}
	}
	if _, alert := errors.AsType[*net.OpError](err); alert {
		if why := distrust(err); why != "" {
			return fault{trouble: mistrusted, distrust: why, err: err}
		}
	}
	return fault{trouble: hungUp, err: err}
}

// hear records a sign of life of the peer.
func (l *line) hear() {
	l.heard.Store(l.sight.sent())
}

// owes reports whether messages are outstanding at the peer, and nothing came from it since the
// last one was sent.
func (l *line) owes(sent, outstanding int64) bool {
	return outstanding > burst && sent > l.heard.Load()
}

// follow parses incoming data. HTTP/2 begins with settings, which say how many streams may be
// opened. A peer may change this limit later.
func (l *line) follow(b []byte) {
	if l.strange {
		return
	}
	if !l.frames.begun && isTLS(b) {
		l.strange = true
		l.fail(fault{trouble: mistrusted, distrust: needsTLS})
		return
	}
	if !l.frames.follow(b, l.set, l.settled) {
		l.strange = true
		l.fail(fault{trouble: foreign})
	}
}

// isTLS reports whether the first data is a TLS record, such as the alert with which a TLS server
// answers plaintext. HTTP/2 begins differently.
func isTLS(b []byte) bool {
	const alert, handshake, major = 21, 22, 3
	return len(b) > 1 && (b[0] == alert || b[0] == handshake) && b[1] == major
}

func (l *line) set(id uint16, value uint32) {
	if id != settingMaxStreams {
		return
	}
	l.limit.Store(int64(value))
	if p := l.sight.peer; p != nil {
		p.queue.all()
	}
}

// settled records that a SETTINGS frame is complete. The first one is the peer's preface.
func (l *line) settled() {
	if !l.greeted.Swap(true) {
		l.late.Stop()
	}
}

// sight observes the attempts to connect to a peer, and the connection. It is safe for concurrent
// use.
type sight struct {
	peer *Peer // nil for a connection that only probes
	line atomic.Pointer[line]

	mu   sync.Mutex
	last fault // of the last attempt that ended
}

// sent returns how many messages were ever sent.
func (s *sight) sent() int64 {
	if s.peer == nil {
		return 0
	}
	return s.peer.uses.Load()
}

func (s *sight) failed(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.at = time.Now()
	s.last = f
}

func (s *sight) why() fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// watched are credentials that show a sight the connections that they secure. Above them, a
// connection carries HTTP/2 in clear.
type watched struct {
	credentials.TransportCredentials

	sight     *sight
	encrypted func(context.Context) bool
}

// ClientHandshake secures a connection.
func (w *watched) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		w.sight.failed(handshakeFault(ctx, err))
		return nil, nil, err
	}
	l := newLine(conn, w.sight)
	l.encrypted = w.encrypted
	w.sight.line.Store(l)
	return l, info, nil
}

// Clone returns a copy.
func (w *watched) Clone() credentials.TransportCredentials {
	return &watched{w.TransportCredentials.Clone(), w.sight, w.encrypted}
}

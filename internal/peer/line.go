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

// burst is how many messages may be outstanding at a peer without any data from it before the peer
// counts as busy, so that others are preferred. It limits how many messages a frozen peer gets
// before it is found to be silent.
const burst = 2

// alertTime is how long a client waits for the TLS alert of a server that closed the connection.
const alertTime = 50 * time.Millisecond

// line observes one connection to a peer. Its methods are safe for concurrent use.
type line struct {
	net.Conn

	sight *sight
	begun time.Time
	// encrypted asks the process at the address, on another connection, whether it speaks TLS. It
	// is nil if this client uses TLS.
	encrypted func(context.Context) bool
	// reads counts the reads that returned data.
	reads atomic.Uint64
	// heard is how many messages had been sent to the peer when it last sent data.
	heard atomic.Int64
	// limit is how many streams the peer allows at a time.
	limit atomic.Int64

	frames  frames      // only Read uses it
	strange bool        // the connection did not begin with HTTP/2
	greeted atomic.Bool // the peer sent its preface, a complete SETTINGS frame
	closed  atomic.Bool
	lost    atomic.Bool // it ended after the peer's preface, and this end did not close it
	failed  atomic.Bool // it ended before the peer's preface, and its fault is recorded
	late    *time.Timer // ends an attempt to connect that takes too long
}

func newLine(conn net.Conn, s *sight) *line {
	l := &line{Conn: conn, sight: s, begun: time.Now()}
	l.limit.Store(math.MaxInt64)
	l.heard.Store(s.sent())
	l.late = time.AfterFunc(attemptTime, func() {
		if !l.greeted.Load() {
			l.closed.Store(true)
			_ = l.Conn.Close() // gRPC then ends the attempt
		}
	})
	return l
}

// Read records incoming data, and why the connection ended.
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

// Write records why the server rejected the client, if a write fails before the server's preface.
// With TLS 1.3, a client ends its handshake before the server checks the client's certificate. When
// a write fails, the alert of a server that rejects the certificate may have arrived.
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

// fail records why the connection ended before the peer sent its preface. Only the first fault
// counts, since later ones are its consequences.
func (l *line) fail(f fault) {
	if !l.failed.Swap(true) {
		l.sight.failed(f)
	}
}

// unfinished returns the fault of a connection that ended before the peer sent its preface.
func (l *line) unfinished(err error) fault {
	switch {
	case l.closed.Load(), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe): // this end closed it
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

// hear records that the peer sent data: no message that was sent before counts as unanswered.
func (l *line) hear() {
	l.heard.Store(l.sight.sent())
}

// owes reports whether more than burst messages are outstanding at the peer, and the peer has sent
// nothing since the last message was sent. Sent is the number of messages ever sent to it.
func (l *line) owes(sent, outstanding int64) bool {
	return outstanding > burst && sent > l.heard.Load()
}

// follow parses incoming data, for the peer's limit of streams. HTTP/2 begins with a SETTINGS
// frame, which has the limit; later SETTINGS frames may change it.
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

// sight observes the connection of a gRPC client connection: the attempts to connect, their faults,
// and the latest connection. It is safe for concurrent use.
type sight struct {
	peer *Peer // nil for a connection that only probes
	line atomic.Pointer[line]

	mu   sync.Mutex
	last fault // of the last attempt that ended
}

// sent returns how many RPCs were ever made to the peer.
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

// watched are credentials that also pass each secured connection to a sight. At that point, the
// sight sees decrypted HTTP/2.
type watched struct {
	credentials.TransportCredentials

	sight     *sight
	encrypted func(context.Context) bool
}

// ClientHandshake secures a connection, and returns a [line] that observes it.
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

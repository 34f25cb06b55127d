package host

import (
	"net"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// connListener tracks the connections that it accepted. gRPC waits minutes for a client to begin
// its handshake, even during a forced stop. Closing the connections ends that wait.
type connListener struct {
	net.Listener

	max     int               // connections at a time
	refused func(addr string) // called with the address of each peer whose connection is closed at that limit

	mu    sync.Mutex
	conns map[*acceptedConn]bool
	count uint64
}

type acceptedConn struct {
	net.Conn

	listener *connListener
	number   uint64 // in the order of acceptance
	onClose  func() // nil until the handshake has ended; guarded by the listener's lock
}

// OnClose sets a function to call when the connection is closed. The call also means that the
// handshake has ended.
func (c *acceptedConn) OnClose(f func()) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.onClose = f
}

func trackConns(l net.Listener, most int, refused func(addr string)) *connListener {
	return &connListener{Listener: l, max: most, refused: refused, conns: map[*acceptedConn]bool{}}
}

// Accept implements [net.Listener]. At the limit of connections, the one that has been open longest
// without a handshake is closed. If there is none, the new connection is closed.
func (l *connListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, out := l.add(conn)
		if out != nil {
			l.refused(out.RemoteAddr().String())
			_ = out.Close() // the connection is lost in any case
		}
		if c != nil {
			return c, nil
		}
	}
}

// add adds a connection, unless there are too many. It returns the connection to close, if any.
func (l *connListener) add(conn net.Conn) (added *acceptedConn, out net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.max {
		silent := l.silent()
		if silent == nil {
			return nil, conn
		}
		delete(l.conns, silent)
		out = silent.Conn
	}
	l.count++
	c := &acceptedConn{Conn: conn, listener: l, number: l.count}
	l.conns[c] = true
	return c, out
}

// silent returns the oldest connection without a handshake, or nil if there is none. The lock is
// held.
func (l *connListener) silent() (oldest *acceptedConn) {
	for c := range l.conns {
		if c.onClose == nil && (oldest == nil || c.number < oldest.number) {
			oldest = c
		}
	}
	return oldest
}

// NetConn returns the underlying connection.
func (c *acceptedConn) NetConn() net.Conn { return c.Conn }

// closeConns closes all connections. The listener must not accept any more.
func (l *connListener) closeConns() {
	l.mu.Lock()
	conns := l.conns
	l.conns = map[*acceptedConn]bool{}
	l.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close() // gRPC notices at its next read or write
	}
}

// Close implements [net.Conn].
func (c *acceptedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	tell := c.onClose
	c.listener.mu.Unlock()
	if tell != nil {
		tell()
	}
	return c.Conn.Close()
}

// bounded fits limits to the file descriptors that the process may have: a quarter of them stay
// free for other uses, and no caller gets more than half of the rest.
func bounded(l rpc.Limits) rpc.Limits {
	if n := descriptors(); n > 0 {
		l.Connections = max(2, min(l.Connections, n*3/4))
	}
	l.CallerConnections = min(l.CallerConnections, max(1, l.Connections/2))
	return l
}

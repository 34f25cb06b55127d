package host

import (
	"net"
	"sync"
)

// connListener knows the connections that it accepted. gRPC waits for a client to begin its
// handshake, for minutes and also when it is told to stop at once; closing the connections ends
// that.
type connListener struct {
	net.Listener

	mu    sync.Mutex
	conns map[*acceptedConn]bool
}

type acceptedConn struct {
	net.Conn

	listener *connListener
	onClose  func() // guarded by the listener's lock; nil for nothing to tell
}

// OnClose has f called when the connection is closed.
func (c *acceptedConn) OnClose(f func()) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.onClose = f
}

func trackConns(l net.Listener) *connListener {
	return &connListener{Listener: l, conns: map[*acceptedConn]bool{}}
}

// Accept implements [net.Listener].
func (l *connListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &acceptedConn{Conn: conn, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	return c, nil
}

// NetConn returns the connection as the system made it.
func (c *acceptedConn) NetConn() net.Conn { return c.Conn }

// closeConns closes all connections. There must be no more to accept.
func (l *connListener) closeConns() {
	l.mu.Lock()
	conns := l.conns
	l.conns = map[*acceptedConn]bool{}
	l.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close() // gRPC gets the error of what it does with it
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

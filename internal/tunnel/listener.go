// Package tunnel has connections over a stream of frames, such as an RPC: a [Conn] for each end,
// and a [Listener] for the serving end.
//
// A connection has a small buffer. When one end does not read, the other end blocks in Write, as
// with TCP. Close still sends the written bytes. If the stream breaks, both ends get an error.
package tunnel

import (
	"net"
	"sync"
)

// Listener is a net.Listener whose connections are passed to it with Offer. It is safe for
// concurrent use.
type Listener struct {
	addr Addr

	conns   chan *Conn
	closing sync.Once
	closed  chan struct{}
}

// Listen returns a listener with the given name.
func Listen(addr string) *Listener {
	return &Listener{addr: Addr(addr), conns: make(chan *Conn), closed: make(chan struct{})}
}

// Offer passes a connection to Accept, and waits until it is accepted. It returns false, and closes
// the connection, if the listener is closed or the stream of the connection ends.
func (l *Listener) Offer(c *Conn) bool {
	select {
	case <-l.closed:
		_ = c.Close() // it never fails
		return false
	default:
	}
	select {
	case l.conns <- c:
		return true
	case <-l.closed:
	case <-c.done:
	}
	_ = c.Close() // it never fails
	return false
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Accepted connections stay open.
func (l *Listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Closed returns a channel that is closed with the listener.
func (l *Listener) Closed() <-chan struct{} { return l.closed }

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return l.addr }

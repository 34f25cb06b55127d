//go:build linux

package world

import (
	"io"
	"net"
	"sync"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// TCPProxy is a proxy in front of a server, which advertises the proxy's address. It forwards
// connections, resets them, refuses them, or cancels streams.
type TCPProxy struct {
	// Addr is the proxy's address.
	Addr string

	w        *World
	listener net.Listener
	handlers sync.WaitGroup

	mu      sync.Mutex
	to      string
	refuses bool
	cancels bool
	conns   map[net.Conn]bool
}

// TCPProxy starts a proxy in front of an address.
func (w *World) TCPProxy(to string) *TCPProxy {
	l := w.listen()
	p := &TCPProxy{Addr: l.Addr().String(), w: w, listener: l, to: to, conns: map[net.Conn]bool{}}
	p.handlers.Go(p.accept)
	w.cleanup(func() {
		_ = l.Close()
		p.reset()
		p.handlers.Wait()
	})
	return p
}

func (p *TCPProxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		p.handlers.Go(func() { p.handle(conn) })
	}
}

func (p *TCPProxy) handle(conn net.Conn) {
	p.mu.Lock()
	to, refuses, cancels := p.to, p.refuses, p.cancels
	p.mu.Unlock()
	server, err := net.Dial("tcp", to) //nolint:noctx // On this machine, it is at once.
	if err != nil || refuses {
		abort(conn)
		if err == nil {
			abort(server)
		}
		return
	}
	p.mu.Lock()
	p.conns[conn], p.conns[server] = true, true
	p.mu.Unlock()
	var ways sync.WaitGroup
	there, back := copyBytes, copyBytes
	if cancels {
		c := &canceler{client: conn, server: server}
		there, back = c.there, c.back
	}
	ways.Go(func() { there(server, conn) })
	ways.Go(func() { back(conn, server) })
	ways.Wait()
	p.mu.Lock()
	delete(p.conns, conn)
	delete(p.conns, server)
	p.mu.Unlock()
}

// copyBytes forwards bytes, and closes both connections when one ends.
func copyBytes(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(to, from)
}

// abort closes a connection with a TCP reset.
func abort(conn net.Conn) {
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (p *TCPProxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		abort(conn)
	}
}

// Reset resets all connections of the server in a process.
func (p *TCPProxy) Reset(process string) {
	p.w.Injectf("connections reset")
	name := p.w.process(process).Name
	p.w.Eventf(history.Cut, name, "reset")
	p.reset()
	p.w.Eventf(history.Mended, name, "")
}

// Refuse resets all connections, and every new one.
func (p *TCPProxy) Refuse(process string) {
	p.w.Injectf("connections refused")
	p.w.Eventf(history.Cut, p.w.process(process).Name, "refused")
	p.mu.Lock()
	p.refuses = true
	p.mu.Unlock()
	p.reset()
}

// Mend ends Refuse.
func (p *TCPProxy) Mend(process string) {
	p.mu.Lock()
	p.refuses = false
	p.mu.Unlock()
	p.w.Eventf(history.Mended, p.w.process(process).Name, "")
}

// Redirect makes new connections lead to another address, and resets the existing ones.
func (p *TCPProxy) Redirect(process, to string) {
	p.w.Injectf("an address that leads elsewhere")
	p.mu.Lock()
	p.to = to
	p.mu.Unlock()
	p.Reset(process)
}

// CancelStreams cancels every third stream of new connections.
func (p *TCPProxy) CancelStreams() {
	p.w.Injectf("streams canceled by the peer")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancels = true
}

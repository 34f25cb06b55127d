// Package memnet is a network within a process. It has no sockets, so that it works where time is
// faked, in a bubble of testing/synctest, too. Its hosts can be cut off and killed.
package memnet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc/test/bufconn"
)

// Network connects hosts. Its zero value is ready for use. It is safe for concurrent use.
type Network struct {
	// Buffer is how many bytes a connection takes, each way, before its reader reads; 0 is 256 KiB.
	// Each connection has that much memory.
	Buffer int

	mu    sync.Mutex
	hosts map[string]*Host
	ports int
	dials atomic.Int64
}

// Dialed returns how many connections were made.
func (n *Network) Dialed() int64 { return n.dials.Load() }

// Host is where one process listens.
type Host struct {
	*bufconn.Listener

	mu     sync.Mutex
	healed chan struct{} // closed while nothing is in the way
	lines  map[*line]bool
	cut    bool
}

// patience is how long Kill waits for others to notice.
const patience = 10 * time.Second

// bufferSize is what Buffer stands for if it is 0.
const bufferSize = 256 << 10

// Listen returns a host at a new address.
func (n *Network) Listen() (*Host, string) {
	n.mu.Lock()
	n.ports++
	addr := fmt.Sprintf("inprocess:%d", n.ports)
	n.mu.Unlock()
	return n.ListenAt(addr), addr
}

// ListenAt returns a host at an address, in place of the host that was there.
func (n *Network) ListenAt(addr string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]*Host{}
	}
	h := &Host{Listener: bufconn.Listen(cmp.Or(n.Buffer, bufferSize)), healed: make(chan struct{}), lines: map[*line]bool{}}
	close(h.healed)
	n.hosts[addr] = h
	return h
}

// Dial connects to an address. While its host is cut off, that takes until ctx ends; where nothing
// listens, it is refused.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	if h == nil {
		return nil, refused(addr)
	}
	select {
	case <-h.reachable():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := h.DialContext(ctx)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, refused(addr)
	}
	l, err := h.line(conn, true)
	if err == nil {
		n.dials.Add(1)
	}
	return l, err
}

func refused(addr string) error { return fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED) }

// Accept returns the other end of a connection that was made.
func (h *Host) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l, err := h.line(conn, false)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (h *Host) line(conn net.Conn, dialed bool) (*line, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		_ = conn.Close() // it can only say that it is closed
		return nil, net.ErrClosed
	}
	l := &line{Conn: conn, host: h, dialed: dialed, severed: make(chan struct{}), closed: make(chan struct{})}
	h.lines[l] = true
	return l, nil
}

// reachable returns a channel that is closed as soon as nothing is in the way.
func (h *Host) reachable() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.healed
}

// Partition cuts the host off until Heal: connecting takes until the caller's patience ends, and
// nothing passes through the connections that are there.
func (h *Host) Partition() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.healed:
		h.healed = make(chan struct{})
	default:
	}
}

// Heal ends a partition: what was sent meanwhile arrives.
func (h *Host) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.healed:
	default:
		close(h.healed)
	}
}

// Kill ends everything at once, and connecting is refused from now on. It returns when the dialers
// have noticed: what a dialer sends before that may or may not have run.
func (h *Host) Kill() {
	_ = h.Close() // it never fails
	h.mu.Lock()
	h.cut = true
	lines := slices.Collect(maps.Keys(h.lines))
	h.mu.Unlock()
	for _, l := range lines {
		l.sever()
	}
	h.Heal() // dials that wait are refused
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, l := range lines {
		if !l.dialed {
			continue
		}
		select {
		case <-l.closed:
		case <-late.C:
			return
		}
	}
}

// line is one end of a connection. What is sent while the host cannot be reached arrives when it
// can be again, as with TCP.
type line struct {
	net.Conn

	host   *Host
	dialed bool // it is the end of who connected

	// readBy is when a Read gives up, in Unix nanoseconds; 0 for never.
	readBy atomic.Int64

	severing, closing sync.Once
	severed           chan struct{} // closed when nothing passes any more
	closed            chan struct{} // closed when its user closed it
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	var late <-chan time.Time
	if by := l.readBy.Load(); by != 0 {
		timer := time.NewTimer(time.Until(time.Unix(0, by)))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-l.host.reachable():
		return n, err
	case <-l.severed:
		return 0, net.ErrClosed
	case <-late:
		return 0, os.ErrDeadlineExceeded
	}
}

// SetDeadline implements [net.Conn]. gRPC bounds handshakes by it, and a server that stops waits
// for them.
func (l *line) SetDeadline(t time.Time) error {
	l.setReadBy(t)
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (l *line) SetReadDeadline(t time.Time) error {
	l.setReadBy(t)
	return l.Conn.SetReadDeadline(t)
}

func (l *line) setReadBy(t time.Time) {
	if t.IsZero() {
		l.readBy.Store(0)
	} else {
		l.readBy.Store(t.UnixNano())
	}
}

func (l *line) Close() error {
	l.closing.Do(func() { close(l.closed) })
	l.host.mu.Lock()
	delete(l.host.lines, l)
	l.host.mu.Unlock()
	l.sever()
	return nil
}

func (l *line) sever() {
	l.severing.Do(func() {
		close(l.severed)
		_ = l.Conn.Close() // it can only say that it is closed
	})
}

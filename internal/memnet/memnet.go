// Package memnet is a network within a process. It uses no sockets, so it also works with fake time
// in a bubble of testing/synctest. A test can cut its hosts off and kill them.
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
	// Buffer is the buffer of a connection in each direction, in bytes; 0 means 256 KiB. Each
	// connection allocates that much memory.
	Buffer int

	mu    sync.Mutex
	hosts map[string]*Host
	ports int
	dials atomic.Int64
}

// Dialed returns how many connections were opened.
func (n *Network) Dialed() int64 { return n.dials.Load() }

// Host is an address at which one process listens.
type Host struct {
	*bufconn.Listener

	mu     sync.Mutex
	healed chan struct{} // closed while the host is not cut off
	lines  map[*line]bool
	cut    bool
}

// patience is how long Kill waits until the dialers have closed their ends.
const patience = 10 * time.Second

// bufferSize is the default of Buffer.
const bufferSize = 256 << 10

// Listen returns a host at a new address.
func (n *Network) Listen() (*Host, string) {
	n.mu.Lock()
	n.ports++
	addr := fmt.Sprintf("inprocess:%d", n.ports)
	n.mu.Unlock()
	return n.ListenAt(addr), addr
}

// ListenAt returns a host at an address. It replaces the previous host there.
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

// Dial connects to an address. While the host is cut off, Dial blocks until ctx ends. If no host
// listens, Dial fails with ECONNREFUSED.
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

// Accept returns the server's end of a dialled connection.
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
		_ = conn.Close() // its only error is that it is already closed
		return nil, net.ErrClosed
	}
	l := &line{Conn: conn, host: h, dialed: dialed, severed: make(chan struct{}), closed: make(chan struct{})}
	h.lines[l] = true
	return l, nil
}

// reachable returns a channel that is closed while the host is not cut off.
func (h *Host) reachable() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.healed
}

// Partition cuts the host off until Heal: Dial blocks, and no bytes pass through open connections.
func (h *Host) Partition() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.healed:
		h.healed = make(chan struct{})
	default:
	}
}

// Heal ends a partition. Bytes that were sent in the meantime then arrive.
func (h *Host) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.healed:
	default:
		close(h.healed)
	}
}

// Kill ends all connections at once, and later dials are refused. It returns when the dialers have
// closed their ends, but after 10 seconds at the latest. A message that a dialer sent before that
// may or may not have run.
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

// line is one end of a connection. Bytes that are sent while the host is cut off arrive after the
// partition, as with TCP.
type line struct {
	net.Conn

	host   *Host
	dialed bool // it is the end that Dial returned

	// readBy is the read deadline, in Unix nanoseconds; 0 for none.
	readBy atomic.Int64

	severing, closing sync.Once
	severed           chan struct{} // closed when the connection has ended
	closed            chan struct{} // closed by Close
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

// SetDeadline implements [net.Conn]. gRPC uses it to bound handshakes, and a server that stops
// waits for these.
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
		_ = l.Conn.Close() // its only error is that it is already closed
	})
}

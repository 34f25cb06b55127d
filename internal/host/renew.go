package host

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
)

// renewable is a listener on a socket whose file may vanish, for example together with the
// directory of a local registry. It can listen at the same path again. Accepted connections stay.
type renewable struct {
	path string

	mu     sync.Mutex
	now    net.Listener
	closed bool
}

func newRenewable(path string, l net.Listener) *renewable { return &renewable{path: path, now: l} }

// Accept implements [net.Listener].
func (r *renewable) Accept() (net.Conn, error) {
	for {
		l := r.current()
		conn, err := l.Accept()
		if err == nil || l == r.current() {
			return conn, err
		}
	}
}

func (r *renewable) current() net.Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Close implements [net.Listener].
func (r *renewable) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.now.Close()
}

// Addr implements [net.Listener].
func (r *renewable) Addr() net.Addr { return r.current().Addr() }

// renew listens again if the socket is gone, and reports whether it was.
func (r *renewable) renew(ctx context.Context) (gone bool, err error) {
	if _, err := os.Lstat(r.path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // it is there, or it cannot be told
	}
	l, err := listenUnix(ctx, r.path)
	if err != nil {
		return true, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return true, l.Close()
	}
	if old, ok := r.now.(*net.UnixListener); ok {
		old.SetUnlinkOnClose(false) // the file at its path is the new one's
	}
	_ = r.now.Close() // Accept goes on with the new one
	r.now = l
	return true, nil
}

// renew makes the site reachable again if its socket is gone.
func (s *site) renew() {
	r, ok := s.listener.Listener.(*renewable)
	if !ok {
		return
	}
	s.serving.Go(func() {
		gone, err := r.renew(s.closing)
		switch {
		case err != nil:
			s.log.Error("the socket of this process was removed, and cannot be made again: others cannot connect", "address", s.addr, "error", err)
		case gone:
			s.log.Warn("the socket of this process was removed: it listens there again", "address", s.addr)
		}
	})
}

// lapsed handles a lapse of the registration: others may not have known of the servers for a while.
func (h *Host) lapsed(reason string) {
	h.listeners.tell(reason)
	go h.renew()
}

// renew makes the site, if there is one, reachable again.
func (h *Host) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.site != nil && strings.HasPrefix(h.site.addr, "unix:") {
		h.site.renew()
	}
}

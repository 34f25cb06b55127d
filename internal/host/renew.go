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
		return false, nil // it exists, or its existence cannot be checked
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
		old.SetUnlinkOnClose(false) // the file at its path belongs to the new listener
	}
	_ = r.now.Close() // Accept then goes on with the new listener
	r.now = l
	return true, nil
}

// renew listens again, in the background, if the site's socket is gone.
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

// lapsed handles a lapse of the registration, during which other processes may not have found the
// servers.
func (h *Host) lapsed(reason string) {
	h.listeners.tell(reason)
	go h.renew()
}

// renew renews the socket of the site, if there is a site and it has a socket.
func (h *Host) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.site != nil && strings.HasPrefix(h.site.addr, "unix:") {
		h.site.renew()
	}
}

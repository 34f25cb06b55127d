package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// kept is a TLS connection that ends when its other end is no longer trusted. It can be drained: a
// goAway frame makes HTTP/2 open no new streams on it. At a client, Read inserts that frame into
// the received data. At a server, Write inserts it into the sent data. This is necessary because
// gRPC has no function that ends one of several connections.
type kept struct {
	net.Conn

	trust  *Trust
	state  *tls.ConnectionState // with the chains that were verified
	client bool
	// again opens another connection to the same server, and returns its state. It is nil at a
	// server.
	again func() (*tls.ConnectionState, error)

	// The following fields belong to the goroutine that reviews connections.
	epoch    uint64
	pair     *pair // the certificate that this end sent
	until    time.Time
	lostAt   time.Time
	closing  bool
	renewing atomic.Bool

	mu       sync.Mutex // held while a server writes
	frames   framing    // of the data that a client reads, or a server writes
	pending  []byte     // the rest of the frame to insert
	woken    bool       // drain has interrupted a client's Read, which must look at pending
	draining sync.Once
}

// Read reads from the connection. At a client, it inserts the pending frame.
func (k *kept) Read(b []byte) (int, error) {
	if !k.client {
		return k.Conn.Read(b)
	}
	for {
		if n := k.injected(b); n > 0 {
			return n, nil
		}
		n, err := k.Conn.Read(b)
		k.mu.Lock()
		woken := k.woken
		for rest := b[:n]; len(rest) > 0; {
			rest = rest[k.frames.advance(rest):]
		}
		k.mu.Unlock()
		if n > 0 || !woken || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// injected copies the pending frame into b, if a frame may be inserted now.
func (k *kept) injected(b []byte) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.woken {
		k.woken = false
		_ = k.SetReadDeadline(time.Time{}) // if it fails, so does the next read
	}
	if len(k.pending) == 0 || len(k.pending) == len(goAway) && !k.frames.between() {
		return 0
	}
	n := copy(b, k.pending)
	k.pending = k.pending[n:]
	return n
}

// Write writes to the connection. At a server, it inserts the pending frame.
func (k *kept) Write(b []byte) (int, error) {
	if k.client {
		return k.Conn.Write(b)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for done := 0; done < len(b); {
		end := done
		for end < len(b) && (len(k.pending) == 0 || end == done) {
			end += k.frames.advance(b[end:])
		}
		n, err := k.Conn.Write(b[done:end])
		if done += n; err != nil {
			return done, err
		}
		k.flush()
	}
	return len(b), nil
}

// flush writes the pending frame, if a frame may be inserted now. The lock is held.
func (k *kept) flush() {
	if len(k.pending) > 0 && k.frames.between() {
		_, _ = k.Conn.Write(k.pending) // if it fails, so does gRPC's next write
		k.pending = nil
	}
}

// drain stops new streams on the connection.
func (k *kept) drain() {
	k.draining.Do(func() {
		go func() { // do not wait here: a blocked Write at a server holds the lock
			k.mu.Lock()
			defer k.mu.Unlock()
			k.pending = goAway
			if k.client {
				k.woken = true
				_ = k.SetReadDeadline(time.Unix(1, 0))
			} else {
				k.flush()
			}
		}()
	})
}

// Close closes the connection.
func (k *kept) Close() error {
	k.trust.forget(k)
	return k.Conn.Close()
}

// NetConn returns the TLS connection.
func (k *kept) NetConn() net.Conn { return k.Conn }

// review drains a connection when its other end is no longer trusted, and closes it after the grace
// time. A client replaces the connection before the server's certificate expires, and when the
// client has a new certificate.
func (k *kept) review(now time.Time, s *snapshot) {
	if s != nil && s.epoch != k.epoch {
		k.epoch = s.epoch
		if chains, err := s.verify(k.state, k.usage()); err == nil {
			k.until = expiry(chains)
		} else if k.lostAt.IsZero() {
			k.lost(now, err)
		}
	}
	switch {
	case k.lostAt.IsZero() && now.After(k.until):
		k.lost(now, errors.New("its certificate expired"))
	case !k.lostAt.IsZero() && now.Sub(k.lostAt) >= k.trust.grace() && !k.closing:
		k.closing = true
		k.trust.renewals.Go(func() { _ = k.Close() }) // Close may wait for a write in progress
	case k.lostAt.IsZero() && k.client && k.wantsNew(now, s) && !k.renewing.Swap(true):
		until := k.until
		k.trust.renewals.Go(func() { k.renew(until) })
	}
}

func (k *kept) lost(now time.Time, err error) {
	k.lostAt = now
	k.trust.log.Warn("a connection ends: the other end is not trusted any more", "address", k.RemoteAddr().String(), "error", err)
	k.drain()
}

// wantsNew reports whether a client should try a new connection, because its own certificate
// changed or the server's certificate expires soon.
func (k *kept) wantsNew(now time.Time, s *snapshot) bool {
	lead := k.until.Sub(k.state.PeerCertificates[0].NotBefore) / 5
	return s != nil && s.pair != k.pair || now.After(k.until.Add(-min(k.trust.grace(), lead)))
}

// renew opens a new connection to the server. If it lasts longer than the old one, or has a newer
// certificate of this program, renew drains the old one.
func (k *kept) renew(until time.Time) {
	var pair *pair
	if k.trust.held != nil {
		pair = k.trust.held.last().pair
	}
	state, err := k.again()
	if err == nil && (pair != k.pair || expiry(state.VerifiedChains).After(until)) {
		k.drain()
		return // leave renewing true: a drained connection is not renewed again
	}
	k.renewing.Store(false)
}

func (k *kept) usage() x509.ExtKeyUsage {
	if k.client {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

// expiry returns the latest time at which one of the chains is still valid.
func expiry(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}

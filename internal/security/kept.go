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

// kept is a connection with TLS that ends when the trust in its other end does. It can be drained:
// a frame among those that pass tells HTTP/2 to use it for nothing new. A client reads that frame
// from its own connection, and a server writes it. gRPC has no way to end one connection of
// several.
type kept struct {
	net.Conn

	trust  *Trust
	state  *tls.ConnectionState // with the chains that were verified
	client bool
	// again makes another connection to the same server, and returns its state; nil at a server.
	again func() (*tls.ConnectionState, error)

	// Only the goroutine that reviews connections touches these.
	epoch    uint64
	pair     *pair // that this end showed
	until    time.Time
	lostAt   time.Time
	closing  bool
	renewing atomic.Bool

	mu       sync.Mutex // held while a server writes
	frames   framing    // of what a client reads, and a server writes
	pending  []byte     // what is to come between two frames
	woken    bool       // a reader at a client is to look at it
	draining sync.Once
}

// Read reads, at a client with what tells that the connection is drained.
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

// injected reads what is pending, if it may come now.
func (k *kept) injected(b []byte) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.woken {
		k.woken = false
		_ = k.SetReadDeadline(time.Time{}) // the next read tells
	}
	if len(k.pending) == 0 || len(k.pending) == len(goAway) && !k.frames.between() {
		return 0
	}
	n := copy(b, k.pending)
	k.pending = k.pending[n:]
	return n
}

// Write writes, at a server with what tells that the connection is drained.
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

// flush writes what is pending, if it may come now. The lock is held.
func (k *kept) flush() {
	if len(k.pending) > 0 && k.frames.between() {
		_, _ = k.Conn.Write(k.pending) // gRPC gets the error of what it writes
		k.pending = nil
	}
}

// drain has the connection used for nothing new.
func (k *kept) drain() {
	k.draining.Do(func() {
		go func() { // a server that writes to a client that does not read holds the lock
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

// NetConn returns the connection with TLS.
func (k *kept) NetConn() net.Conn { return k.Conn }

// review decides about a connection: it is drained when the trust in the other end ended, and
// closed some time later. A client makes a new one before that, and when it has a new certificate.
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
		k.trust.renewals.Go(func() { _ = k.Close() }) // it may have to wait for what is being written
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

// wantsNew reports whether a client should try a new connection: its own certificate is another
// now, or the server's will soon expire.
func (k *kept) wantsNew(now time.Time, s *snapshot) bool {
	lead := k.until.Sub(k.state.PeerCertificates[0].NotBefore) / 5
	return s != nil && s.pair != k.pair || now.After(k.until.Add(-min(k.trust.grace(), lead)))
}

// renew drains the connection if a new one to the server can be made that lasts longer, or that
// shows a newer certificate.
func (k *kept) renew(until time.Time) {
	var pair *pair
	if k.trust.held != nil {
		pair = k.trust.held.last().pair
	}
	state, err := k.again()
	if err == nil && (pair != k.pair || expiry(state.VerifiedChains).After(until)) {
		k.drain()
		return // and it is renewed no more
	}
	k.renewing.Store(false)
}

func (k *kept) usage() x509.ExtKeyUsage {
	if k.client {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

// expiry returns when the last of several chains expires.
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

package security

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// conns are the connections of a transport whose other end has a verified certificate.
type conns struct {
	sync.Mutex

	list map[*kept]struct{}
}

// defaultGrace is how long a connection may continue after its other end is no longer trusted.
const defaultGrace = 30 * time.Second

func (t *Trust) grace() time.Duration {
	if t.config.Grace > 0 {
		return t.config.Grace
	}
	return defaultGrace
}

// keep registers a connection for regular reviews, if its other end has a verified certificate.
// Again is nil at a server; see kept.
func (t *Trust) keep(conn net.Conn, info credentials.AuthInfo, shown *snapshot, again func() (*tls.ConnectionState, error)) net.Conn {
	i, is := info.(credentials.TLSInfo)
	if !is || len(i.State.VerifiedChains) == 0 {
		return conn
	}
	k := &kept{Conn: conn, trust: t, state: &i.State, client: again != nil, again: again, until: expiry(i.State.VerifiedChains)}
	if shown != nil {
		k.epoch, k.pair = shown.epoch, shown.pair
	}
	t.conns.Lock()
	defer t.conns.Unlock()
	if t.conns.list == nil {
		t.conns.list = map[*kept]struct{}{}
	}
	t.conns.list[k] = struct{}{}
	return k
}

func (t *Trust) forget(k *kept) {
	t.conns.Lock()
	defer t.conns.Unlock()
	delete(t.conns.list, k)
}

// review reviews all connections.
func (t *Trust) review(now time.Time) {
	var s *snapshot
	if t.held != nil {
		s = t.held.last()
	}
	t.conns.Lock()
	list := make([]*kept, 0, len(t.conns.list))
	for k := range t.conns.list {
		list = append(list, k)
	}
	t.conns.Unlock()
	for _, k := range list {
		k.review(now, s)
	}
}

// tryTime bounds the attempt to open a second connection with try.
const tryTime = 3 * time.Second

// try opens a second connection to the address of an existing one. It waits until the server sends
// a byte, which means that the server accepted the certificate of this program, and closes the
// connection.
func (s *secure) try(address net.Addr, authority string) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tryTime)
	defer cancel()
	go func() {
		select {
		case <-s.trust.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, address.Network(), address.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn, info, _, err := s.connect(ctx, authority, raw)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return nil, err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	state := info.(credentials.TLSInfo).State //nolint:forcetypeassert // NewTLS makes no other.
	return &state, nil
}

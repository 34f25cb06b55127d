// Package inbound is the server's end of connections: what each one proves of its caller.
//
// [Credentials] wraps the transport credentials of a gRPC server. Each connection that they let in
// has one [Conn]. [From] returns it to the handlers of the RPCs on the connection. The credentials'
// own AuthInfo stays as it is, so programs that read it keep working.
package inbound

import (
	"context"
	"log/slog"
	"net"
	"strconv"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Conn is one connection of a server.
type Conn struct {
	net.Conn

	peer rpc.Peer
	addr net.Addr
}

// Peer returns the process at the other end. It does not change during the connection.
func (c *Conn) Peer() rpc.Peer { return c.peer }

// RemoteAddr returns the address of the other end. It leads [From] to the connection.
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

// addr is the remote address of a connection, and the way back to the connection. gRPC keeps a
// connection's remote address for the handlers of its RPCs, and keeps nothing else of ours.
type addr struct {
	net.Addr

	conn *Conn
}

// From returns the connection of the RPC whose context is ctx; nil if ctx is of no RPC, or of a
// server without [Credentials].
func From(ctx context.Context) *Conn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	a, ok := p.Addr.(*addr)
	if !ok {
		return nil
	}
	return a.conn
}

// Credentials returns the credentials of a server such that [From] knows its connections.
// Handshakes that fail are logged.
func Credentials(c credentials.TransportCredentials, log *slog.Logger) credentials.TransportCredentials {
	return &wrapped{c, newFailures(log)}
}

type wrapped struct {
	credentials.TransportCredentials

	failures *failures
}

func (w *wrapped) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := w.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		w.failures.add(raw, err)
		return nil, nil, err
	}
	c := &Conn{Conn: secure}
	c.addr = &addr{secure.RemoteAddr(), c}
	c.peer = rpc.Peer{Addr: secure.RemoteAddr().String()}
	if t, ok := info.(credentials.TLSInfo); ok {
		c.peer.TLS = &t.State
		c.peer.Identity = identity.Certified(&t.State)
	}
	if c.peer.Identity.Proof == rpc.ProofNone {
		if uid, ok := userOf(raw); ok {
			c.peer.Identity = rpc.Identity{Proof: rpc.ProofUser, Names: []string{"user:" + strconv.FormatUint(uint64(uid), 10)}}
		}
	}
	return c, info, nil
}

func (w *wrapped) Clone() credentials.TransportCredentials {
	return &wrapped{w.TransportCredentials.Clone(), w.failures}
}

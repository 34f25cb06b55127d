// Package inbound is the server's side of connections. It knows which identity each connection, and
// each RPC on it, proves.
//
// [Credentials] wraps the transport credentials of a gRPC server. Each accepted connection has one
// [Conn], and [From] returns it to the handlers of the RPCs on the connection. The AuthInfo of the
// wrapped credentials stays the same, so programs that read it keep working.
//
// [Tokens] verifies the tokens of RPCs. [SenderOf] returns everything that an RPC proves. The
// policy, the limits, the counters, the deduplication and the message itself all get the sender
// from there.
package inbound

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Conn is one connection of a server.
type Conn struct {
	net.Conn

	peer  rpc.Peer
	addr  net.Addr
	guard *guard // nil without limits
	// tokens is true if the server verifies the tokens of RPCs.
	tokens bool
}

// Read returns bytes from the peer.
func (c *Conn) Read(b []byte) (int, error) {
	if c.guard == nil {
		return c.Conn.Read(b)
	}
	return c.guard.Read(b)
}

// Write sends to the peer.
func (c *Conn) Write(b []byte) (int, error) {
	if c.guard == nil {
		return c.Conn.Write(b)
	}
	return c.guard.Write(b)
}

// Close closes the connection.
func (c *Conn) Close() error {
	if c.guard != nil {
		c.guard.close()
	}
	return c.Conn.Close()
}

// Peer returns the process at the other end, with the identity that the connection proves. It does
// not change. [Sender] has what an RPC proves beyond that.
func (c *Conn) Peer() rpc.Peer { return c.peer }

// TakesTokens reports whether the server verifies the tokens of RPCs. If it does, the tokens are
// hidden from the program. A nil Conn returns false.
func (c *Conn) TakesTokens() bool { return c != nil && c.tokens }

// RemoteAddr returns the address of the other end. [From] finds the connection through it.
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

// addr is the remote address of a connection, with a reference to the connection. The remote
// address is the only object of ours that gRPC makes available to the handlers of RPCs.
type addr struct {
	net.Addr

	conn *Conn
}

// From returns the connection of the RPC of ctx. It returns nil if ctx belongs to no RPC, or to a
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

// Credentials returns credentials for a server, which wrap c so that [From] finds the connections.
// It logs failed handshakes. Tokens verifies the RPCs on the connections; nil if the server does
// not verify tokens. Budget bounds the memory of connections; nil for no bounds.
func Credentials(c credentials.TransportCredentials, log *slog.Logger, tokens *Tokens, budget *limits.Budget) credentials.TransportCredentials {
	return &wrapped{c, newFailures(log), tokens != nil, budget}
}

type wrapped struct {
	credentials.TransportCredentials

	failures *failures
	tokens   bool
	budget   *limits.Budget
}

// errCrowded is the error for a connection of a caller that has the maximum number of connections.
var errCrowded = errors.New("the caller has too many connections")

func (w *wrapped) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := w.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		w.failures.add(raw, err)
		return nil, nil, err
	}
	c := &Conn{Conn: secure, tokens: w.tokens}
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
	if err := w.guard(c, raw); err != nil {
		_ = secure.Close()
		return nil, nil, err
	}
	return c, info, nil
}

// guard gives a connection a guard that enforces the limits.
func (w *wrapped) guard(c *Conn, raw net.Conn) error {
	if w.budget == nil {
		return nil
	}
	identity, shared := c.account()
	caller := w.budget.Join(identity, shared)
	if caller == nil {
		w.budget.Refused(limits.Connections, identity+shared)
		return errCrowded
	}
	c.guard = newGuard(c.Conn, w.budget, caller)
	if r, ok := raw.(interface{ OnClose(f func()) }); ok { // gRPC closes only that if its own handshake fails
		r.OnClose(c.guard.close)
	}
	return nil
}

// account returns the identity to which the connection is accounted. Without an identity, it
// returns what the connection shares with others: its address or, for a Unix socket, the user of
// the process.
func (c *Conn) account() (identity, shared string) {
	switch c.peer.Identity.Proof {
	case rpc.ProofNone:
		return "", limits.Shared(c.peer.Addr)
	case rpc.ProofUser:
		return "", c.peer.Identity.Key()
	default:
		return c.peer.Identity.Key(), ""
	}
}

func (w *wrapped) Clone() credentials.TransportCredentials {
	return &wrapped{w.TransportCredentials.Clone(), w.failures, w.tokens, w.budget}
}

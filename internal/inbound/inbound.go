// Package inbound is the server's end of connections: what each one, and each RPC on it, proves of
// its caller.
//
// [Credentials] wraps the transport credentials of a gRPC server. Each connection that they let in
// has one [Conn]. [From] returns it to the handlers of the RPCs on the connection. The credentials'
// own AuthInfo stays as it is, so programs that read it keep working.
//
// [Tokens] verifies the tokens that RPCs carry. [SenderOf] returns what an RPC proves in all: it is
// the one place that the policy, the limits, the counts, the deduplication and the message itself
// ask.
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

// Read returns what the peer sent.
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

// Peer returns the process at the other end, as the connection proves it. It does not change. What
// an RPC proves beyond that is in [Sender].
func (c *Conn) Peer() rpc.Peer { return c.peer }

// TakesTokens reports whether the server verifies the tokens of RPCs, so that they are not for
// programs to read. A nil Conn takes none.
func (c *Conn) TakesTokens() bool { return c != nil && c.tokens }

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
// Handshakes that fail are logged. The tokens are what verifies the RPCs on these connections. The
// budget bounds what connections hold; nil for no bounds.
func Credentials(c credentials.TransportCredentials, log *slog.Logger, tokens *Tokens, budget *limits.Budget) credentials.TransportCredentials {
	return &wrapped{c, newFailures(log), tokens != nil, budget}
}

type wrapped struct {
	credentials.TransportCredentials

	failures *failures
	tokens   bool
	budget   *limits.Budget
}

// errCrowded is the error for a connection of a caller that has all it may have.
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

// guard holds a connection to the limits.
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

// account returns the identity to which the connection counts, or else what it shares with others:
// its address, or the user whose processes they all are.
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

package security

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/failure"
)

// plain records which warnings about plaintext connections were logged.
type plain struct {
	serving, connecting sync.Once
}

// CheckServing returns an error if a server must not serve an address in plaintext: other machines
// could read and send anything, or clients would not send their tokens. An address without a port
// is a host.
func (t *Trust) CheckServing(address string) error {
	if err := t.checkTokens(address); err != nil {
		return err
	}
	if t.Secure() || t.config.Plaintext || connection.IsLocal(address) {
		return nil
	}
	return failure.Invalid("other machines can reach %q, and without TLS they could read and send anything: use WithTrust with CA, Cert and Key, "+
		"or with Plaintext if you mean it", address)
}

// Serving logs a warning, once, if one of the addresses can be reached from other machines in
// plaintext.
func (t *Trust) Serving(addresses ...string) {
	for _, address := range addresses {
		if !t.Secure() && !connection.IsLocal(address) {
			t.plain.serving.Do(func() {
				t.log.Warn("servers accept connections without TLS from other machines, which can read and send anything", "address", address)
			})
		}
	}
}

// guarded are credentials without TLS, for connections within the machine. Connections to other
// machines need Plaintext in the configuration.
type guarded struct {
	credentials.TransportCredentials

	trust *Trust
}

// PlaintextError means that a connection to another machine would have no TLS.
type PlaintextError struct{}

// Error returns the second half of a sentence that begins with the name of the server.
func (*PlaintextError) Error() string {
	return "is on another machine, and the connection would have no TLS: use WithTrust with CA, or with Plaintext if you mean it"
}

// ClientHandshake checks that the connection may be plaintext.
func (g *guarded) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	addr := raw.RemoteAddr()
	if tcp, is := addr.(*net.TCPAddr); is && !tcp.IP.IsLoopback() {
		if !g.trust.config.Plaintext {
			return nil, nil, &PlaintextError{}
		}
		g.trust.plain.connecting.Do(func() {
			g.trust.log.Warn("connections to other machines have no TLS: every machine on the way can read and change what passes",
				"address", addr.String())
		})
	}
	return g.TransportCredentials.ClientHandshake(ctx, authority, raw)
}

// Clone returns the same credentials, since they do not change.
func (g *guarded) Clone() credentials.TransportCredentials { return g }

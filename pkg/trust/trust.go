// Package trust says how the programs of a fleet prove to each other who they are: certificates,
// authorities, tokens, and the names that a server's certificate must have.
//
//	t, err := oslorpc.Open(url, oslorpc.WithTrust(trust.Config{
//		CA: "/etc/fleet/ca.pem", Cert: "/etc/fleet/cert.pem", Key: "/etc/fleet/key.pem",
//	}))
//
// A program that sets nothing may still be configured from outside: by parameters of the transport
// URL and by environment variables; see docs/security.md.
package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"google.golang.org/grpc/credentials"
)

// Config is what a transport trusts, and how it proves its own identity. The zero value connects
// in clear, and only within the machine: over the loopback interface and Unix sockets.
//
// With CA, or with Cert and Key, or with what takes their place, connections use TLS 1.3, in both
// directions:
//
//   - Servers need Cert and Key. With CA they require a certificate of their clients, unless Tokens
//     is set: then a client may present a token instead.
//   - Clients verify servers against CA, or against the authorities of the system without CA. They
//     present Cert if it is set.
//
// The files are read by Open, and again when they change: connections that are open stay, as long
// as the new files still verify the other end.
type Config struct {
	// CA is the path of a PEM file with the certificates of the authorities to trust. Empty means
	// the authorities of the system for clients, and no client certificates for servers.
	CA string
	// Cert and Key are the paths of PEM files with the certificate of this program, followed by any
	// intermediate ones, and with its private key. Both are set, or none.
	Cert, Key string

	// WorkloadAPI is the address of a SPIFFE Workload API, such as unix:///run/spire/agent.sock, that
	// gives the certificate of this program and the authorities to trust, in place of CA, Cert and
	// Key. "auto" stands for the address in the environment variable SPIFFE_ENDPOINT_SOCKET. The
	// program must import package workload, so that only programs that use it link it. Empty means
	// none.
	WorkloadAPI string
	// Source gives the certificate and the authorities in place of CA, Cert and Key. The program
	// closes it after the transport. Nil means none.
	Source Source

	// ServerName is the name that the certificate of every server must have, in place of the host
	// in the server's address. Empty means that host, or Identity if it is set.
	ServerName string
	// Identity is a template of the name that a server's certificate must have, such as
	// spiffe://example.org/exchange/{exchange}/topic/{topic}/server/{server}, or
	// dns:{server}.{topic}.example. A client sends a message only over a connection whose server has
	// the name for the exchange, topic and server that the client meant. Empty means any server that
	// an authority certified.
	Identity string

	// TokenFile is the path of a file with the bearer token that clients send with each message, over
	// TLS and Unix sockets only. Empty means no token.
	TokenFile string
	// Tokens verifies the tokens of clients at servers, which need TLS or a Unix socket then. A client
	// that proves nothing by a token, a certificate or a Unix socket is refused. Nil means that tokens
	// prove nothing.
	Tokens Verifier

	// TLS is used in place of files and sources: its RootCAs by clients, its ClientCAs and ClientAuth
	// by servers. It is not reloaded; its callbacks may. Nil means none.
	TLS *tls.Config
	// Credentials are used for every connection, in place of all of the above. Nil means none.
	Credentials credentials.TransportCredentials

	// Grace is how long a connection may go on after the other end lost the trust of this one: its
	// certificate expired, or CA does not certify it any more. What runs may end; a client makes a
	// new connection for what it sends. The zero value means 30 seconds.
	Grace time.Duration

	// Plaintext allows connections without TLS to and from other machines. Every program on the way
	// can then read and change each message, and any program can send one.
	Plaintext bool

	// Policy says which callers may send what to the servers of the transport. Nil allows everything
	// to all callers that can connect.
	Policy *Policy
	// Gateways are patterns, as of Rule.From, of the names of gateways that servers believe on whose
	// behalf they forward messages: the caller of such a message is the one that the gateway names,
	// for the policy as well. Nil means none: then the gateway is the caller.
	Gateways []string
	// Hide is what the servers of the transport do not tell about themselves. The zero value hides
	// nothing.
	Hide Hidden
}

// Hidden says what servers do not tell their peers. Messages, health, pings and versions work as
// before.
type Hidden struct {
	// Failures hides why methods and interceptors failed, unless the program wrote the error for its
	// callers: it registered the type of the error, the method is expected to return it, or it is an
	// *oslorpc.Error with which an interceptor refuses. An error of any other failure has its kind,
	// and a fixed text with an id; a line in the server's log has the same id and what happened.
	// Panics, stacks, and the names of Go types are never told. Errors about a method or namespace
	// that is not there do not tell which ones are.
	Failures bool
	// Introspection hides which methods the servers have, how busy they are, and who sent what:
	// Transport.Info and oslorpc info get [rpc.AccessDenied].
	Introspection bool
	// Reflection leaves out gRPC's reflection services, so programs such as grpcurl need the proto
	// files.
	Reflection bool
}

// Verifier verifies bearer tokens. It is safe for concurrent use.
type Verifier interface {
	// Verify returns whom a token names, as ISSUER/SUBJECT, and when the token expires; the zero time
	// means never. The caller's identity is "token:" and that name, so two subjects must not have the
	// same. An error means that the token proves nothing; it is logged, and not told to the caller.
	//
	// The connection waits meanwhile, so Verify has a second, as ctx says. It is not asked about the
	// same token again for ten seconds.
	Verify(ctx context.Context, token string) (subject string, expires time.Time, err error)
}

// Source gives the certificate of a program and the authorities that it trusts, and others as time
// goes on. It is safe for concurrent use.
type Source interface {
	// Material returns what new connections are made with. The same pointer means that nothing has
	// changed. It is called for each connection and once a second, so it must not wait. Nil means that
	// there is nothing to use, and each connection fails.
	Material() *Material
}

// Material is what connections are made with. It must not be changed.
type Material struct {
	// Certificate is the certificate of this program, followed by any intermediate ones, with its
	// private key. Nil means none; servers need one.
	Certificate *tls.Certificate
	// Verify verifies the certificate of the other end of a connection, which it sent first, followed
	// by any intermediate ones, for a usage. It returns the chains to authorities that are trusted.
	// The names in the certificate are compared elsewhere, and all of them count, so an authority must
	// not be able to certify the names of another. It is safe for concurrent use. It is required.
	Verify func(sent []*x509.Certificate, usage x509.ExtKeyUsage) (chains [][]*x509.Certificate, err error)
}

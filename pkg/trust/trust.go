// Package trust has the configuration by which the programs of a fleet authenticate each other:
// certificates, authorities, tokens, and the names that a server's certificate must have. It also
// has the policy that says which callers may send what.
//
//	t, err := oslorpc.Open(url, oslorpc.WithTrust(trust.Config{
//		CA: "/etc/fleet/ca.pem", Cert: "/etc/fleet/cert.pem", Key: "/etc/fleet/key.pem",
//	}))
//
// Parameters of the transport URL and environment variables can also set the configuration; see
// docs/security.md.
package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"google.golang.org/grpc/credentials"
)

// Config sets which peers a transport trusts, and how it proves its own identity. The zero value
// connects without encryption, and only within the machine: over the loopback interface and Unix
// sockets.
//
// With CA, with Cert and Key, or with their alternatives below, connections use TLS 1.3, in both
// directions:
//
//   - Servers need Cert and Key. With CA they require a certificate of their clients, unless Tokens
//     is set: then a client may present a token instead.
//   - Clients verify servers against CA, or against the authorities of the system without CA. They
//     present Cert if it is set.
//
// Open reads the files, and the transport reads them again when they change. Open connections stay,
// as long as the new files still verify the other end.
type Config struct {
	// CA is the path of a PEM file with the certificates of the trusted authorities. Empty means
	// that clients trust the authorities of the system, and that servers ask for no client
	// certificates.
	CA string
	// Cert and Key are the paths of PEM files: Cert has the certificate of this program, followed
	// by any intermediate certificates, and Key has its private key. Set both or neither.
	Cert, Key string

	// WorkloadAPI is the address of a SPIFFE Workload API, such as unix:///run/spire/agent.sock. It
	// provides the certificate of this program and the trusted authorities, in place of CA, Cert
	// and Key. "auto" stands for the address in the environment variable SPIFFE_ENDPOINT_SOCKET.
	// The program must import package workload, so that only programs that use it link it. Empty
	// means none.
	WorkloadAPI string
	// Source provides the certificate and the authorities, in place of CA, Cert and Key. Close it
	// after the transport. Nil means none.
	Source Source

	// ServerName is the name that the certificate of every server must have, in place of the host
	// in the server's address. Empty means that host, or Identity if it is set.
	ServerName string
	// Identity is a template of the name that a server's certificate must have, such as
	// spiffe://example.org/exchange/{exchange}/topic/{topic}/server/{server}, or
	// dns:{server}.{topic}.example. The placeholders stand for the exchange, topic and server of
	// the client's message. A client sends the message only over a connection whose server has that
	// name. Empty means any server that an authority certified.
	Identity string

	// TokenFile is the path of a file with the bearer token that clients send with each message,
	// over TLS and Unix sockets only. Empty means no token.
	TokenFile string
	// Tokens verifies the tokens of clients. Servers with Tokens need TLS or a Unix socket. A
	// client that has neither a valid token nor a certificate, and does not use a Unix socket, is
	// refused. Nil means that servers ignore tokens.
	Tokens Verifier

	// TLS is used in place of files and sources. Clients use its RootCAs; servers use its ClientCAs
	// and ClientAuth. It is not reloaded, but its callbacks may return new certificates. Nil means
	// none.
	TLS *tls.Config
	// Credentials are used for every connection, in place of all fields above. Nil means none.
	Credentials credentials.TransportCredentials

	// Grace is how long a connection stays open after this end stopped trusting the other end,
	// because its certificate expired or because CA no longer certifies it. In that time, running
	// messages can finish. A client opens a new connection for further messages. The zero value
	// means 30 seconds.
	Grace time.Duration

	// Plaintext allows connections without TLS to and from other machines. Every program on the
	// network path can then read and change each message, and any program can send one.
	Plaintext bool

	// Policy says which callers may send what to the servers of the transport. Nil allows
	// everything to every caller that can connect.
	Policy *Policy
	// Gateways are patterns, as in Rule.From, of the names of trusted gateways. For a message that
	// such a gateway forwards, servers take the identity of the caller from the gateway, and the
	// policy uses it. Clients with Identity accept such a gateway in place of a server that is
	// attached to it, and over gateway:// no other gateway. Nil means none: the gateway itself then
	// counts as the caller.
	Gateways []string
	// Hide sets which information the servers of the transport keep from their peers. The zero
	// value hides nothing.
	Hide Hidden
}

// Hidden lists the information that servers keep from their peers. Messages, health checks, pings
// and versions work as before.
type Hidden struct {
	// Failures hides why methods and interceptors failed. Three kinds of errors are still sent,
	// because the program wrote them for its callers: errors of a registered type, errors that the
	// method is expected to return, and an *oslorpc.Error with which an interceptor refuses. For
	// any other failure, the caller gets only the kind and a fixed text with an id. The server logs
	// the details with the same id. Panics, stacks, and the names of Go types are never sent.
	// Errors about an unknown method or namespace do not list the known ones.
	Failures bool
	// Introspection hides which methods the servers have, how busy they are, and who sent what:
	// Transport.Info and oslorpc info get [rpc.AccessDenied].
	Introspection bool
	// Reflection turns off gRPC's reflection services. Programs such as grpcurl then need the proto
	// files.
	Reflection bool
}

// Verifier verifies bearer tokens. It is safe for concurrent use.
type Verifier interface {
	// Verify returns the subject of a token, as ISSUER/SUBJECT, and when the token expires; the
	// zero time means never. The caller's identity is "token:" followed by the subject, so
	// different subjects must have different names. An error means that the token is not valid. It
	// is logged, and not sent to the caller.
	//
	// The connection waits for Verify, so ctx gives it one second. Verify is not called again for
	// the same token for ten seconds.
	Verify(ctx context.Context, token string) (subject string, expires time.Time, err error)
}

// Source provides the certificate of a program and the authorities that it trusts. Both may change
// over time. It is safe for concurrent use.
type Source interface {
	// Material returns the material for new connections. The same pointer means that nothing has
	// changed. It is called for each connection and once a second, so it must not block. Nil means
	// that there is no material yet, and each connection fails.
	Material() *Material
}

// Material is the certificate and the authorities for new connections. It must not be changed.
type Material struct {
	// Certificate is the certificate of this program, followed by any intermediate certificates,
	// with its private key. Nil means none. Servers need one.
	Certificate *tls.Certificate
	// Verify verifies the certificate of the other end of a connection for a usage. Sent has that
	// certificate first, followed by any intermediate certificates. Verify returns the chains to
	// trusted authorities. The library compares the names in the certificate afterwards, and
	// accepts every name in it. So Verify must not accept a certificate with names that its
	// authority may not certify. Verify is safe for concurrent use. It is required.
	Verify func(sent []*x509.Certificate, usage x509.ExtKeyUsage) (chains [][]*x509.Certificate, err error)
}

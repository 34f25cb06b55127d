// Package security makes the transport credentials of clients and servers from a trust.Config.
package security

import (
	"crypto/tls"
	"log/slog"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Trust is what the connections of a transport rely on. The zero value connects in clear, within
// the machine. It is safe for concurrent use.
type Trust struct {
	config trust.Config
	log    *slog.Logger
	files  *material // nil without files
}

// Open loads what a configuration names. An error is of kind Invalid, and names the file.
func Open(c trust.Config, log *slog.Logger) (*Trust, error) {
	if err := check(&c); err != nil {
		return nil, err
	}
	t := &Trust{config: c, log: log}
	if c.Credentials != nil || c.TLS != nil || c.CA == "" && c.Cert == "" {
		return t, nil
	}
	files, err := load(&c)
	if err != nil {
		return nil, err
	}
	t.files = files
	return t, nil
}

// check returns what contradicts itself in a configuration.
func check(c *trust.Config) error {
	files := c.CA != "" || c.Cert != "" || c.Key != ""
	switch {
	case c.Credentials != nil && (c.TLS != nil || files):
		return failure.Invalid("trust: Credentials take the place of TLS and of files: set one of them")
	case c.TLS != nil && files:
		return failure.Invalid("trust: TLS takes the place of files: set TLS, or CA, Cert and Key")
	case c.Cert != "" && c.Key == "":
		return failure.Invalid("trust: the certificate %q needs its private key: set Key", c.Cert)
	case c.Key != "" && c.Cert == "":
		return failure.Invalid("trust: the private key %q needs its certificate: set Cert", c.Key)
	}
	return nil
}

// Config returns the configuration.
func (t *Trust) Config() trust.Config { return t.config }

// Secure reports whether connections have TLS, or credentials of the program's own.
func (t *Trust) Secure() bool {
	if t.config.Credentials != nil {
		return t.config.Credentials.Info().SecurityProtocol != insecure.NewCredentials().Info().SecurityProtocol
	}
	return t.config.TLS != nil || t.files != nil
}

// Client returns the credentials of connections to servers.
func (t *Trust) Client() credentials.TransportCredentials {
	switch {
	case t.config.Credentials != nil:
		return t.config.Credentials.Clone()
	case t.config.TLS != nil:
		return credentials.NewTLS(t.named(t.config.TLS))
	case t.files != nil:
		return t.files.client(t.config.ServerName)
	default:
		return insecure.NewCredentials()
	}
}

// Server returns the credentials of connections from clients. An error is of kind Invalid.
func (t *Trust) Server() (credentials.TransportCredentials, error) {
	switch {
	case t.config.Credentials != nil:
		return t.config.Credentials.Clone(), nil
	case t.config.TLS != nil:
		return credentials.NewTLS(t.config.TLS), nil
	case t.files == nil:
		return insecure.NewCredentials(), nil
	case t.config.Cert == "":
		return nil, failure.Invalid("a server with TLS needs a certificate and its private key: set Cert and Key beside CA")
	default:
		return t.files.server(t.config.Tokens != nil), nil
	}
}

func (t *Trust) named(c *tls.Config) *tls.Config {
	c = c.Clone()
	if t.config.ServerName != "" {
		c.ServerName = t.config.ServerName
	}
	return c
}

// CheckServing returns an error if a server must not be reached at an address in clear: other
// machines could read what passes. An address without a port is a host.
func (t *Trust) CheckServing(address string) error {
	if t.Secure() || t.config.Plaintext || IsLocal(address) {
		return nil
	}
	return failure.Invalid("other machines can reach %q, and without TLS read and send anything: use WithTrust with CA, Cert and Key, "+
		"or with Plaintext if you mean it", address)
}

// IsLocal reports whether only this machine can reach an address: a socket, or a host of the
// loopback interface, with a port or without.
func IsLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if len(address) > 5 && address[:5] == "unix:" || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/tunnel"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// secure are credentials that use the current certificate and authorities in each handshake.
type secure struct {
	trust *Trust
	// anyName is true if the host name in a server's certificate is not checked, because its
	// identity is checked instead.
	anyName bool
	// gateways reports which identities the other end may have; nil allows any.
	gateways func(rpc.Identity) bool
}

// StrangerError means that a client refused to use a process as its gateway, because the process is
// not a trusted gateway.
type StrangerError struct {
	// Proved is the identity of the process.
	Proved rpc.Identity
}

// Error returns the end of a sentence whose subject is the process.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("proved %s, which is not a trusted gateway: check its certificate, and the names of the trusted gateways (trust.Config.Gateways, ?gateways=)", e.Proved)
}

// ClientHandshake secures a connection to a server, and verifies the server.
func (s *secure) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, shown, err := s.connect(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	again := func() (*tls.ConnectionState, error) { return s.try(raw.RemoteAddr(), authority) } //nolint:contextcheck // It is later.
	return s.trust.keep(conn, info, shown, again), info, nil
}

// connect is ClientHandshake, but does not register the connection for reviews.
func (s *secure) connect(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, *snapshot, error) {
	if awaited, is := s.trust.config.Source.(Awaited); is {
		if err := awaited.Await(ctx); err != nil {
			return nil, nil, nil, &NotReadyError{err}
		}
	}
	config, shown := s.trust.clientConfig()
	// With an identity to check, the host name is not checked. The address of an attached process
	// is no host name either.
	attached := tunnel.Is(raw.RemoteAddr())
	anyName := config.ServerName == "" && (s.anyName || attached)
	switch {
	case config.ServerName != "":
		authority = config.ServerName
	case attached:
		authority = unnamed
	}
	var chains *[][]*x509.Certificate
	if shown != nil && shown.sourced || anyName && !config.InsecureSkipVerify {
		host := ""
		if !anyName {
			host = hostOf(authority)
		}
		chains = verifyServer(config, shown, host)
	}
	withheld := noteWithheld(config)
	conn, info, err := credentials.NewTLS(config).ClientHandshake(ctx, authority, raw)
	if err == nil {
		err = s.admit(conn, info, chains)
	}
	if err == nil && *withheld {
		conn = &withholding{conn}
	}
	return conn, withChains(info, chains), shown, err
}

// admit closes a connection to a process that is not a trusted gateway.
func (s *secure) admit(conn net.Conn, info credentials.AuthInfo, chains *[][]*x509.Certificate) error {
	t, is := withChains(info, chains).(credentials.TLSInfo)
	if s.gateways == nil || !is {
		return nil
	}
	proved := identity.Certified(&t.State)
	if s.gateways(proved) {
		return nil
	}
	_ = conn.Close() // nothing was sent
	return &StrangerError{proved}
}

// noteWithheld changes config so that the handshake sets withheld to true if the client sends none
// of its certificates. Like package tls, the client sends none if they are not from the authorities
// that the server accepts.
func noteWithheld(config *tls.Config) (withheld *bool) {
	withheld = new(bool)
	if config.GetClientCertificate != nil || len(config.Certificates) == 0 {
		return withheld
	}
	config.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		for i := range config.Certificates {
			if asked.SupportsCertificate(&config.Certificates[i]) == nil {
				return &config.Certificates[i], nil
			}
		}
		*withheld = true
		return &tls.Certificate{}, nil
	}
	return withheld
}

// WithheldError is the TLS alert of a server that requires a certificate, if the client sent none
// because it has none from an authority that the server accepts.
type WithheldError struct{ error }

// Unwrap returns the alert.
func (e *WithheldError) Unwrap() error { return e.error }

// withholding is a connection on which the client sent no certificate, although it has one.
type withholding struct{ net.Conn }

// Read returns an alert of the server as a WithheldError.
func (w *withholding) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if alert, is := errors.AsType[*net.OpError](err); is && alert.Op == "remote error" {
		err = &WithheldError{err}
	}
	return n, err
}

// unnamed is the authority for an attached process. Since it is an IP address, TLS does not send it
// as the server's name, so the server does not look for a certificate with that name.
const unnamed = "0.0.0.0"

// verifyServer changes config so that the server's certificate is verified here and not by package
// tls. If host is not empty, the certificate must be for the host. The handshake sets the returned
// chains.
func verifyServer(config *tls.Config, shown *snapshot, host string) *[][]*x509.Certificate {
	chains, more := new([][]*x509.Certificate), config.VerifyConnection
	if shown == nil {
		shown = &snapshot{authorities: &authorities{roots: config.RootCAs}}
	}
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) (err error) {
		if *chains, err = shown.verify(&state, x509.ExtKeyUsageServerAuth); err != nil {
			return unverified(&state, err)
		}
		if host != "" {
			if err := state.PeerCertificates[0].VerifyHostname(host); err != nil {
				return unverified(&state, err)
			}
		}
		if more != nil {
			state.VerifiedChains = *chains
			return more(state)
		}
		return nil
	}
	return chains
}

// hostOf returns the host of an authority, which may have a port.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// unverified wraps an error in package tls's error for an unverified certificate. It returns nil
// for nil.
func unverified(state *tls.ConnectionState, err error) error {
	if err == nil {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
}

// withChains returns info with the chains that verifyServer or verifyClient verified. If chains is
// nil, it returns info unchanged.
func withChains(info credentials.AuthInfo, chains *[][]*x509.Certificate) credentials.AuthInfo {
	t, is := info.(credentials.TLSInfo)
	if !is || chains == nil {
		return info
	}
	t.State.VerifiedChains = *chains
	return t
}

// verify verifies the certificate of the other end of a connection. It does not check names.
func verify(state *tls.ConnectionState, roots *x509.CertPool, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("it showed no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	return state.PeerCertificates[0].Verify(options)
}

// ServerHandshake secures a connection from a client, and verifies the client.
func (s *secure) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, shown, chains := s.trust.serverConfig()
	conn, info, err := credentials.NewTLS(config).ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	info = withChains(info, chains)
	return s.trust.keep(conn, info, shown, nil), info, nil
}

// Info implements [credentials.TransportCredentials].
func (s *secure) Info() credentials.ProtocolInfo {
	name := s.trust.config.ServerName
	if config := s.trust.config.TLS; name == "" && config != nil {
		name = config.ServerName
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, ServerName: name}).Info()
}

// Clone returns the same credentials, since they do not change.
func (s *secure) Clone() credentials.TransportCredentials { return s }

// OverrideServerName does nothing, since the configuration sets the name of servers.
func (s *secure) OverrideServerName(string) error { return nil }

package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
)

// secure are credentials that use what the files have at each handshake.
type secure struct {
	trust *Trust
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

// connect is ClientHandshake, without watching the connection.
func (s *secure) connect(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, *snapshot, error) {
	config, shown := s.trust.clientConfig()
	anyName := s.trust.config.Identity != "" && config.ServerName == "" && !config.InsecureSkipVerify
	var chains [][]*x509.Certificate
	if anyName { // the identity takes the place of the name
		config.InsecureSkipVerify = true
		more := config.VerifyConnection
		config.VerifyConnection = func(state tls.ConnectionState) (err error) {
			if chains, err = verify(&state, config.RootCAs, x509.ExtKeyUsageServerAuth); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			if more != nil {
				state.VerifiedChains = chains
				return more(state)
			}
			return nil
		}
	}
	if config.ServerName != "" {
		authority = config.ServerName
	}
	conn, info, err := credentials.NewTLS(config).ClientHandshake(ctx, authority, raw)
	if t, is := info.(credentials.TLSInfo); is && anyName && err == nil {
		t.State.VerifiedChains = chains
		return conn, t, shown, nil
	}
	return conn, info, shown, err
}

// verify verifies the certificate that the other end of a connection showed, whatever its names.
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
	config, shown := s.trust.serverConfig()
	conn, info, err := credentials.NewTLS(config).ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
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

// Clone returns the same credentials: they do not change.
func (s *secure) Clone() credentials.TransportCredentials { return s }

// OverrideServerName does nothing: the configuration names servers.
func (s *secure) OverrideServerName(string) error { return nil }

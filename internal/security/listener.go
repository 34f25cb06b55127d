package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// Listener returns a listener with the same TLS as for gRPC servers, for other protocols. Protocols
// are for ALPN. Connections do not end when their other end is no longer trusted: call
// [Trust.Verified] for each request. Without TLS, Listener returns l. An error is of kind Invalid.
func (t *Trust) Listener(l net.Listener, protocols ...string) (net.Listener, error) {
	if _, err := t.Server(); err != nil {
		return nil, err
	}
	if t.config.Credentials != nil {
		return nil, failure.Invalid("trust.Config.Credentials secure only gRPC: set TLS, or CA, Cert and Key, or a source of certificates")
	}
	if !t.Secure() {
		return l, nil
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			config, _, _ := t.serverConfig()
			config.NextProtos = protocols
			return config, nil
		},
	}), nil
}

// Verified verifies the client's certificate of a connection of [Trust.Listener] again, and returns
// the state with the resulting chains. It returns an error if the certificate has expired, or its
// authority is no longer trusted. Without a certificate, it returns state.
func (t *Trust) Verified(state *tls.ConnectionState) (*tls.ConnectionState, error) {
	if len(state.PeerCertificates) == 0 || t.held == nil {
		return state, nil
	}
	chains, err := t.held.fresh().verify(state, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, errors.New("the certificate is not trusted any more: " + err.Error())
	}
	verified := *state
	verified.VerifiedChains = chains
	return &verified, nil
}

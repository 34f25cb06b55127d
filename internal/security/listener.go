package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// Listener returns a listener whose connections have TLS as connections to servers have, for a
// protocol other than gRPC. The protocols are for ALPN. The connections are not ended when their
// trust ends: ask [Trust.Verified] about each request. Without TLS it is l itself. An error is of
// kind Invalid.
func (t *Trust) Listener(l net.Listener, protocols ...string) (net.Listener, error) {
	if _, err := t.Server(); err != nil {
		return nil, err
	}
	if t.config.Credentials != nil {
		return nil, failure.Invalid("trust.Config.Credentials secure gRPC alone: set TLS, or CA, Cert and Key, or a source of certificates")
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

// Verified returns the state of a connection of [Trust.Listener] with the chains that verify the
// client's certificate now: an authority that is trusted no more, or a certificate that expired,
// proves nothing. A client without a certificate has no chains.
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

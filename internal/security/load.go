package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"

	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// material is what the files of a configuration say. It does not change.
type material struct {
	roots *x509.CertPool   // nil for the authorities of the system
	pair  *tls.Certificate // nil without a certificate
}

// load reads the files of a configuration.
func load(c *trust.Config) (*material, error) {
	m := &material{}
	if c.CA != "" {
		text, err := readFile("CA", c.CA)
		if err != nil {
			return nil, err
		}
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM(text) {
			return nil, failure.Invalid("trust: CA: %q has no certificate in PEM form", c.CA)
		}
	}
	if c.Cert == "" {
		return m, nil
	}
	cert, err := readFile("Cert", c.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("Key", c.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, failure.Invalid("trust: the certificate %q with the private key %q: %v", c.Cert, c.Key, err)
	}
	m.pair = &pair
	return m, nil
}

func readFile(field, path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // The program names the file.
	if err != nil {
		reason, _ := errors.AsType[*fs.PathError](err)
		if reason != nil {
			err = reason.Err
		}
		return nil, failure.Invalid("trust: %s: %q cannot be read: %v", field, path, err)
	}
	return text, nil
}

// client returns credentials that verify servers, by a name if it is not empty.
func (m *material) client(name string) credentials.TransportCredentials {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: m.roots, ServerName: name}
	if m.pair != nil {
		config.Certificates = []tls.Certificate{*m.pair}
	}
	return credentials.NewTLS(config)
}

// server returns credentials that verify clients, if there are authorities for that. A client may
// come without a certificate if it has another proof.
func (m *material) server(otherProof bool) credentials.TransportCredentials {
	// A resumed session would not verify the certificate of the client again.
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*m.pair}, SessionTicketsDisabled: true}
	switch {
	case m.roots == nil:
	case otherProof:
		config.ClientCAs, config.ClientAuth = m.roots, tls.VerifyClientCertIfGiven
	default:
		config.ClientCAs, config.ClientAuth = m.roots, tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(config)
}

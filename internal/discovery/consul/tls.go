package consul

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
)

// tlsSettings says how to connect to an agent with TLS. An empty string means not set.
type tlsSettings struct {
	// on is true if TLS is used. Said is true if the URL says whether TLS is used.
	on, said bool
	// caFile and caPath are a file, or a directory of files, with the authorities to trust. Without
	// either, the system's authorities are trusted.
	caFile, caPath string
	// certFile and keyFile are the client certificate and its private key; both or neither.
	certFile, keyFile string
	// serverName is the name that the agent's certificate must have, by default the host of the
	// URL.
	serverName string
	// insecure is true if any certificate is accepted.
	insecure bool
}

// environment sets the settings that the URL does not have from the environment.
func (s *tlsSettings) environment() error {
	if !s.said {
		on, err := boolean(api.HTTPSSLEnvName, false)
		if err != nil {
			return err
		}
		s.on = s.on || on
	}
	if s.caFile == "" {
		s.caFile, s.caPath = variable(api.HTTPCAFile), variable(api.HTTPCAPath)
	}
	if s.certFile == "" && s.keyFile == "" {
		s.certFile, s.keyFile = variable(api.HTTPClientCert), variable(api.HTTPClientKey)
	}
	s.serverName = or(s.serverName, variable(api.HTTPTLSServerName))
	return nil
}

func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

func boolean(name string, otherwise bool) (bool, error) {
	text := variable(name)
	if text == "" {
		return otherwise, nil
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("the environment variable %s is %q: write true or false", name, text)
	}
	return is, nil
}

// warn logs settings that weaken TLS. Variables in the environment cannot weaken it, because they
// may have been set for other programs.
func (s *tlsSettings) warn(log *slog.Logger, agent string) {
	if s.insecure {
		log.Warn("the certificate of the Consul agent is not verified, because of consul-insecure=true in the transport URL", "agent", agent)
		return
	}
	if verify, err := boolean(api.HTTPSSLVerifyEnvName, true); s.on && (err != nil || !verify) {
		log.Warn("ignoring "+api.HTTPSSLVerifyEnvName+": the certificate of the Consul agent is verified; "+
			"to connect to an agent whose certificate cannot be verified, write consul-insecure=true in the transport URL", "agent", agent)
	}
}

// config returns the TLS configuration for a connection to a host. It reads the files each time, so
// they can be replaced while the program runs.
func (s *tlsSettings) config(host string) (*tls.Config, error) {
	roots, err := s.authorities()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: or(s.serverName, host), RootCAs: roots,
		InsecureSkipVerify: s.insecure, //nolint:gosec // The URL says so, and warn warned.
	}
	switch {
	case (s.certFile == "") != (s.keyFile == ""):
		return nil, errors.New("a client certificate needs both consul-cert and consul-key, or both CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY")
	case s.certFile != "":
		pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
		if err != nil {
			return nil, fmt.Errorf("the client certificate in %s and %s: %w", s.certFile, s.keyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// secure makes a transport connect with TLS.
func (s *tlsSettings) secure(t *http.Transport) {
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		config, err := s.config(host)
		if err != nil {
			return nil, err
		}
		raw, err := t.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errNoAnswer)
		defer cancel()
		c := tls.Client(raw, config)
		if err := c.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		return c, nil
	}
}

// authorities returns the authorities to trust, or nil for the system's.
func (s *tlsSettings) authorities() (*x509.CertPool, error) {
	files := []string{s.caFile}
	if s.caFile == "" {
		if s.caPath == "" {
			return nil, nil //nolint:nilnil // The standard library means the system's by nil.
		}
		var err error
		if files, err = filepath.Glob(filepath.Join(s.caPath, "*")); err != nil {
			return nil, err
		}
	}
	pool, some := x509.NewCertPool(), false
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // The user names the file.
		if err != nil {
			return nil, fmt.Errorf("the authorities: %w", err)
		}
		some = pool.AppendCertsFromPEM(text) || some
	}
	if !some {
		return nil, fmt.Errorf("the authorities: %s has no certificate in PEM", or(s.caFile, s.caPath))
	}
	return pool, nil
}

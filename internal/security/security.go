// Package security makes the transport credentials of clients and servers from a trust.Config. It
// reads files again when they change, and ends connections whose other end is no longer trusted.
package security

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Trust has the certificates, authorities and tokens of a transport's connections. The zero value
// allows plaintext connections within the machine. It is safe for concurrent use.
type Trust struct {
	config trust.Config
	log    *slog.Logger
	held   holder     // has the certificates and authorities; nil without files and sources
	token  *tokenFile // nil without a token
	// closeSource closes a source that Open opened. It is nil if there is none.
	closeSource func()
	plain       plain
	conns       conns
	// renewals are the running attempts to replace connections.
	renewals sync.WaitGroup
	// template is the rule for the names that servers must prove; nil accepts any. gateways tells
	// which identities are trusted gateways; nil means none.
	template *identity.Template
	gateways func(rpc.Identity) bool

	// closed ends the goroutine that reads the files.
	closing sync.Once
	closed  chan struct{}
	ended   chan struct{}
}

// Open loads the files and sources of a configuration. Errors are of kind Invalid. They name the
// file, and the setting that has its path. Close the result after use.
func Open(text Text, log *slog.Logger) (*Trust, error) {
	c, origins, err := text.Complete()
	if err != nil {
		return nil, err
	}
	if err := check(&c, origins); err != nil {
		return nil, err
	}
	t := &Trust{config: c, log: log, closed: make(chan struct{}), ended: make(chan struct{})}
	if c.Identity != "" {
		if t.template, err = identity.ParseTemplate(c.Identity); err != nil {
			return nil, failure.Invalid("%s: %v", cmp.Or(origins["identity"], "trust.Config.Identity"), err)
		}
	}
	if t.gateways, err = policy.Callers("the trusted gateways (trust.Config.Gateways)", c.Gateways); err != nil {
		return nil, err
	}
	if c.TokenFile != "" {
		if t.token, err = openToken(c.TokenFile, origins["token-file"], log); err != nil {
			return nil, err
		}
	}
	if err := t.hold(origins); err != nil {
		return nil, err
	}
	if t.held == nil && t.token == nil && c.TLS == nil {
		close(t.ended)
		return t, nil
	}
	go t.follow()
	return t, nil
}

// hold opens the source of the certificate and the authorities.
func (t *Trust) hold(origins map[string]string) error {
	source := t.config.Source
	if address := t.config.WorkloadAPI; address != "" {
		var err error
		if source, t.closeSource, err = openWorkloadAPI(address, origins[workloadParameter], t.log); err != nil {
			return err
		}
	}
	switch {
	case source != nil:
		t.held = openSource(source, t.log)
	case t.config.CA != "" || t.config.Cert != "":
		files, err := openFiles(&t.config, origins, t.log)
		if err != nil {
			return err
		}
		t.held = files
	}
	return nil
}

// Policy returns which callers may send which messages; nil allows all.
func (t *Trust) Policy() *trust.Policy { return t.config.Policy }

// Hidden returns what servers hide from their peers.
func (t *Trust) Hidden() trust.Hidden { return t.config.Hide }

// check returns an error for a configuration that contradicts itself.
func check(c *trust.Config, origins map[string]string) error {
	if err := checkPlaces(c, origins); err != nil {
		return err
	}
	if c.Identity != "" && verifiesNothing(c.TLS) {
		return failure.Invalid("trust.Config.TLS has InsecureSkipVerify, so certificates prove no name, and Identity needs one: verify them")
	}
	return checkPair(c, origins)
}

// checkPlaces returns an error if certificates come from several sources.
func checkPlaces(c *trust.Config, origins map[string]string) error {
	files, sources := c.CA+c.Cert+c.Key != "", c.WorkloadAPI != "" || c.Source != nil
	switch {
	case c.Credentials != nil && (c.TLS != nil || files || sources):
		return failure.Invalid("trust.Config.Credentials take the place of TLS, of files and of sources: set one of them")
	case c.TLS != nil && (files || sources):
		return failure.Invalid("trust.Config.TLS takes the place of files and of sources: set TLS, or CA, Cert and Key, or WorkloadAPI, or Source")
	case c.WorkloadAPI != "" && files:
		return failure.Invalid("%s: the Workload API gives the certificate and the authorities, and so do CA, Cert and Key: "+
			"leave out trust.Config.WorkloadAPI, or all of these", origins[workloadParameter])
	case c.Source != nil && (files || c.WorkloadAPI != ""):
		return failure.Invalid("trust.Config.Source takes the place of files and of WorkloadAPI: set one of them")
	}
	return nil
}

// checkPair returns an error if either a certificate or its key is missing.
func checkPair(c *trust.Config, origins map[string]string) error {
	switch {
	case c.Cert != "" && c.Key == "":
		return failure.Invalid("%s: the certificate %q needs its private key: set %s, too", origins["cert"], c.Cert, toKey.Replace(origins["cert"]))
	case c.Key != "" && c.Cert == "":
		return failure.Invalid("%s: the private key %q needs its certificate: set %s, too", origins["key"], c.Key, toCert.Replace(origins["key"]))
	}
	return nil
}

// verifiesNothing reports whether a configuration accepts any certificate.
func verifiesNothing(c *tls.Config) bool {
	return c != nil && c.InsecureSkipVerify && c.VerifyConnection == nil && c.VerifyPeerCertificate == nil
}

// toKey and toCert turn the name of a setting for a certificate into the name for its key, and
// back.
var (
	toKey  = strings.NewReplacer("Cert", "Key", "cert", "key", "CERT", "KEY")
	toCert = strings.NewReplacer("Key", "Cert", "key", "cert", "KEY", "CERT")
)

// lookTime is how often files are read.
const lookTime = time.Second

// follow reads the files regularly until Close.
func (t *Trust) follow() {
	defer close(t.ended)
	defer t.renewals.Wait()
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		select {
		case <-t.closed:
			return
		case <-tick.C:
			if t.held != nil {
				t.held.look()
			}
			if t.token != nil {
				t.token.look()
			}
			t.review(time.Now())
		}
	}
}

// Close ends the goroutines and sources of Open. It does not close connections.
func (t *Trust) Close() {
	t.closing.Do(func() {
		if t.closed != nil {
			close(t.closed)
			<-t.ended
		}
		if t.closeSource != nil {
			t.closeSource()
		}
	})
}

// Config returns the configuration.
func (t *Trust) Config() trust.Config { return t.config }

// Identity returns the rule for servers' certificates, from the template or else from the source.
// Nil accepts any.
func (t *Trust) Identity() identity.Rule {
	if t.template != nil {
		return t.template
	}
	rule, _ := t.config.Source.(identity.Rule)
	return rule
}

// Reached returns the rule for the process at the address of a server. It must comply with the rule
// of Identity, or be a trusted gateway, to which the server may be attached.
func (t *Trust) Reached() identity.Rule {
	if t.template != nil && t.gateways != nil {
		return identity.OrGateway(t.template, t.gateways)
	}
	return t.Identity()
}

// Gateways returns a function that reports whether an identity is a trusted gateway. It returns nil
// if none is trusted.
func (t *Trust) Gateways() func(rpc.Identity) bool { return t.gateways }

// Secure reports whether connections have TLS, or the program's own credentials.
func (t *Trust) Secure() bool {
	if t.config.Credentials != nil {
		return t.config.Credentials.Info().SecurityProtocol != insecure.NewCredentials().Info().SecurityProtocol
	}
	return t.config.TLS != nil || t.held != nil
}

// Client returns the credentials of connections to servers.
func (t *Trust) Client() credentials.TransportCredentials {
	return t.client(&secure{trust: t, anyName: t.Identity() != nil})
}

// ClientOfGateways returns the credentials of connections to gateways, for clients that reach all
// servers through them. If servers must prove their names, a gateway must be a trusted one or, if
// no trusted gateways are configured, have a certificate for its host name.
func (t *Trust) ClientOfGateways() credentials.TransportCredentials {
	s := &secure{trust: t}
	if t.Identity() != nil && t.gateways != nil {
		s.anyName, s.gateways = true, t.gateways
	}
	return t.client(s)
}

func (t *Trust) client(s *secure) credentials.TransportCredentials {
	switch {
	case t.config.Credentials != nil:
		return t.config.Credentials.Clone()
	case t.Secure():
		return s
	default:
		return &guarded{insecure.NewCredentials(), t}
	}
}

// Server returns the credentials of connections from clients. An error is of kind Invalid.
func (t *Trust) Server() (credentials.TransportCredentials, error) {
	switch {
	case t.config.Credentials != nil:
		return t.config.Credentials.Clone(), nil
	case t.config.CA != "" && t.config.Cert == "":
		return nil, failure.Invalid("a server with TLS needs a certificate and its private key: " +
			"set trust.Config.Cert and trust.Config.Key beside trust.Config.CA")
	case t.Secure():
		return &secure{trust: t}, nil
	default:
		return insecure.NewCredentials(), nil
	}
}

// clientConfig returns the TLS configuration for a new connection to a server.
func (t *Trust) clientConfig() (config *tls.Config, shown *snapshot) {
	if t.config.TLS != nil {
		config = t.config.TLS.Clone()
	} else {
		shown = t.held.fresh()
		config = &tls.Config{RootCAs: shown.roots(), Certificates: shown.certificates()}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
	if t.config.ServerName != "" {
		config.ServerName = t.config.ServerName
	}
	return config, shown
}

// serverConfig returns the TLS configuration for a new connection from a client. If chains is not
// nil, the handshake sets it, and it replaces the chains of package tls.
func (t *Trust) serverConfig() (config *tls.Config, shown *snapshot, chains *[][]*x509.Certificate) {
	if t.config.TLS != nil {
		config = t.config.TLS.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
		return config, nil, nil
	}
	s := t.held.fresh()
	// A resumed session would not verify the certificate of the client again.
	config = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: s.certificates(), ClientCAs: s.roots(), SessionTicketsDisabled: true}
	if several, is := t.config.Source.(Several); is {
		config.Certificates = nil // otherwise a client without a server name would get the first one
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.choose(several, hello.ServerName) }
	}
	switch {
	case s.sourced:
		chains = t.verifyClient(config, s)
	case config.ClientCAs == nil:
	case t.config.Tokens != nil:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, s, chains
}

// verifyClient makes a source verify the certificate of a client.
func (t *Trust) verifyClient(config *tls.Config, s *snapshot) *[][]*x509.Certificate {
	chains := new([][]*x509.Certificate)
	config.ClientAuth = tls.RequireAnyClientCert
	if t.config.Tokens != nil {
		config.ClientAuth = tls.RequestClientCert
	}
	config.VerifyConnection = func(state tls.ConnectionState) (err error) {
		if len(state.PeerCertificates) == 0 {
			return nil // the client must then have a token
		}
		*chains, err = s.verify(&state, x509.ExtKeyUsageClientAuth)
		return unverified(&state, err)
	}
	return chains
}

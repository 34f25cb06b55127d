// Package security makes the transport credentials of clients and servers from a trust.Config. It
// reads files again when they change, and ends connections to programs that are trusted no more.
package security

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Trust is what the connections of a transport rely on. The zero value connects in clear, within
// the machine. It is safe for concurrent use.
type Trust struct {
	config trust.Config
	log    *slog.Logger
	files  *files     // nil without files
	token  *tokenFile // nil without a token
	plain  plain
	conns  conns
	// renewals are the attempts to make new connections in place of others.
	renewals sync.WaitGroup
	// template is the name that servers must prove; nil for any.
	template *identity.Template

	// Closed ends the goroutine that reads the files.
	closing sync.Once
	closed  chan struct{}
	ended   chan struct{}
}

// Open loads what a configuration names. Errors are of kind Invalid: they name the file, and what
// names the file. Close the result after use.
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
	if c.Credentials == nil && c.TLS == nil && (c.CA != "" || c.Cert != "") {
		if t.files, err = openFiles(&c, origins, log); err != nil {
			return nil, err
		}
	}
	if c.TokenFile != "" {
		if t.token, err = openToken(c.TokenFile, origins["token-file"], log); err != nil {
			return nil, err
		}
	}
	if t.files == nil && t.token == nil && c.TLS == nil {
		close(t.ended)
		return t, nil
	}
	go t.follow()
	return t, nil
}

// Policy returns which callers may send what to servers; nil for all.
func (t *Trust) Policy() *trust.Policy { return t.config.Policy }

// Hidden returns what servers do not tell their peers.
func (t *Trust) Hidden() trust.Hidden { return t.config.Hide }

// check returns what contradicts itself in a configuration.
func check(c *trust.Config, origins map[string]string) error {
	files := c.CA != "" || c.Cert != "" || c.Key != ""
	switch {
	case c.Credentials != nil && (c.TLS != nil || files):
		return failure.Invalid("trust.Config.Credentials take the place of TLS and of files: set one of them")
	case c.TLS != nil && files:
		return failure.Invalid("trust.Config.TLS takes the place of files: set TLS, or CA, Cert and Key")
	case c.Identity != "" && verifiesNothing(c.TLS):
		return failure.Invalid("trust.Config.TLS has InsecureSkipVerify, so certificates prove no name, and Identity needs one: verify them")
	}
	return checkPair(c, origins)
}

// checkPair returns what is missing of a certificate and its key.
func checkPair(c *trust.Config, origins map[string]string) error {
	switch {
	case c.Cert != "" && c.Key == "":
		return failure.Invalid("%s: the certificate %q needs its private key: set %s, too", origins["cert"], c.Cert, toKey.Replace(origins["cert"]))
	case c.Key != "" && c.Cert == "":
		return failure.Invalid("%s: the private key %q needs its certificate: set %s, too", origins["key"], c.Key, toCert.Replace(origins["key"]))
	}
	return nil
}

// verifiesNothing reports whether a configuration takes any certificate.
func verifiesNothing(c *tls.Config) bool {
	return c != nil && c.InsecureSkipVerify && c.VerifyConnection == nil && c.VerifyPeerCertificate == nil
}

// The origin of a key is named like that of its certificate.
var (
	toKey  = strings.NewReplacer("Cert", "Key", "cert", "key", "CERT", "KEY")
	toCert = strings.NewReplacer("Key", "Cert", "key", "cert", "KEY", "CERT")
)

// lookTime is how often files are read.
const lookTime = time.Second

// follow reads the files once in a while, until Close.
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
			if t.files != nil {
				t.files.look()
			}
			if t.token != nil {
				t.token.look()
			}
			t.review(time.Now())
		}
	}
}

// Close ends what Open began. Connections are not closed.
func (t *Trust) Close() {
	t.closing.Do(func() {
		if t.closed != nil {
			close(t.closed)
			<-t.ended
		}
	})
}

// Config returns the configuration.
func (t *Trust) Config() trust.Config { return t.config }

// Identity returns the template of the names that servers must prove; nil for any name.
func (t *Trust) Identity() *identity.Template { return t.template }

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
	case t.Secure():
		return &secure{trust: t}
	default:
		return &guarded{insecure.NewCredentials(), t}
	}
}

// Server returns the credentials of connections from clients. An error is of kind Invalid.
func (t *Trust) Server() (credentials.TransportCredentials, error) {
	switch {
	case t.config.Credentials != nil:
		return t.config.Credentials.Clone(), nil
	case t.files != nil && t.config.Cert == "":
		return nil, failure.Invalid("a server with TLS needs a certificate and its private key: " +
			"set trust.Config.Cert and trust.Config.Key beside trust.Config.CA")
	case t.Secure():
		return &secure{trust: t}, nil
	default:
		return insecure.NewCredentials(), nil
	}
}

// clientConfig returns what a connection to a server is made with now.
func (t *Trust) clientConfig() (config *tls.Config, shown *snapshot) {
	if t.config.TLS != nil {
		config = t.config.TLS.Clone()
	} else {
		shown = t.files.fresh()
		config = &tls.Config{RootCAs: shown.roots(), Certificates: shown.certificates()}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
	if t.config.ServerName != "" {
		config.ServerName = t.config.ServerName
	}
	return config, shown
}

// serverConfig returns what a connection from a client is made with now.
func (t *Trust) serverConfig() (*tls.Config, *snapshot) {
	if t.config.TLS != nil {
		config := t.config.TLS.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
		return config, nil
	}
	s := t.files.fresh()
	// A resumed session would not verify the certificate of the client again.
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: s.certificates(), ClientCAs: s.roots(), SessionTicketsDisabled: true}
	switch {
	case config.ClientCAs == nil:
	case t.config.Tokens != nil:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, s
}

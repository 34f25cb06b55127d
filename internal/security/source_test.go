package security

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// source is a source that the test changes.
type source struct{ atomic.Pointer[trust.Material] }

// Material implements [trust.Source].
func (s *source) Material() *trust.Material { return s.Load() }

// give makes a source return a certificate and trust an authority.
func (s *source) give(c *tlstest.Certificate, a *tlstest.Authority) {
	m := &trust.Material{Verify: func(sent []*x509.Certificate, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
		return sent[0].Verify(x509.VerifyOptions{Roots: a.Pool, KeyUsages: []x509.ExtKeyUsage{usage}})
	}}
	if c != nil {
		m.Certificate = new(c.TLS())
	}
	s.Store(m)
}

// A source serves both ends, and changes take effect at once.
func TestSource(t *testing.T) {
	a, b := tlstest.New(t), tlstest.New(t)
	ofClient, ofServer := &source{}, &source{}
	client, _ := open(t, trust.Config{Source: ofClient})
	server, _ := open(t, trust.Config{Source: ofServer})
	if err, _ := meet(t, client, server); err == nil {
		t.Error("they meet without certificates")
	}
	ofClient.give(a.Local("client"), a)
	ofServer.give(a.Local("localhost"), a)
	wantMeeting(t, client, server)
	for title, change := range map[string]func(){
		"a server of another authority":  func() { ofServer.give(b.Local("localhost"), a) },
		"a server of another name":       func() { ofServer.give(a.Local("other"), a) },
		"a server without a certificate": func() { ofServer.give(nil, a) },
		"a client of another authority":  func() { ofClient.give(b.Local("client"), a) },
		"a client without a certificate": func() { ofClient.give(nil, a) },
		"a certificate for clients alone": func() {
			ofServer.give(a.Issue(tlstest.Subject{DNS: []string{"localhost"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), a)
		},
		"nothing more": func() { ofClient.Store(nil) },
	} {
		change()
		if err, serverErr := meet(t, client, server); err == nil && serverErr == nil {
			t.Errorf("%s is trusted", title)
		}
		ofClient.give(a.Local("client"), a)
		ofServer.give(a.Local("localhost"), a)
		wantMeeting(t, client, server)
	}
}

// Where tokens are verified, a client needs no certificate, but must not present one that no
// trusted authority issued.
func TestSourceWithTokens(t *testing.T) {
	a, b := tlstest.New(t), tlstest.New(t)
	ofClient, ofServer := &source{}, &source{}
	ofServer.give(a.Local("localhost"), a)
	client, _ := open(t, trust.Config{Source: ofClient})
	server, _ := open(t, trust.Config{Source: ofServer, Tokens: struct{ trust.Verifier }{}})
	ofClient.give(nil, a)
	wantMeeting(t, client, server)
	ofClient.give(b.Local("client"), a)
	if err, serverErr := meet(t, client, server); err == nil && serverErr == nil {
		t.Error("a certificate of another authority is trusted")
	}
}

// The connection has the chains that a source verified. Names are read from these chains.
func TestSourceProves(t *testing.T) {
	a := tlstest.New(t)
	s := &source{}
	s.give(a.Local("localhost"), a)
	opened, _ := open(t, trust.Config{Source: s})
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{a.Local("localhost").Leaf}}
	chains, err := opened.held.fresh().verify(&state, x509.ExtKeyUsageServerAuth)
	if err != nil || len(chains) == 0 {
		t.Errorf("got %v, %v", chains, err)
	}
	if _, err := opened.held.fresh().verify(&tls.ConnectionState{}, x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("no certificate is trusted")
	}
	before := opened.held.last()
	s.give(a.Local("localhost"), a)
	if !opened.held.look() || opened.held.last().epoch <= before.epoch || opened.held.last().pair == before.pair {
		t.Error("it did not see the new certificate")
	}
	if opened.held.look() {
		t.Error("it saw a change where there is none")
	}
	m, kept := *s.Load(), opened.held.last().pair
	s.Store(&m)
	if opened.held.fresh().pair != kept {
		t.Error("the same certificate counts as another")
	}
}

// A certificate that expires while its source returns no other is logged once.
func TestSourceSaysExpired(t *testing.T) {
	a := tlstest.New(t)
	s := &source{}
	s.give(a.Issue(tlstest.Subject{DNS: []string{"localhost"}, NotAfter: time.Now().Add(-time.Minute)}), a)
	opened, log := open(t, trust.Config{Source: s})
	opened.held.look()
	opened.held.look()
	opened.Close()
	if n := strings.Count(log.String(), "the certificate of this program expired"); n != 1 {
		t.Errorf("the log has %d such lines: %s", n, log)
	}
}

// A program that does not link the Workload API gets an error that says so.
func TestWorkloadAPIIsNotLinked(t *testing.T) {
	_, err := Open(Text{URL: map[string]string{"workload-api": "unix:///run/a"}, Variable: none}, nil)
	if err == nil || !strings.Contains(err.Error(), "transport URL's workload-api") || !strings.Contains(err.Error(), "pkg/trust/workload") {
		t.Errorf("got %v", err)
	}
}

// Package tlstest makes certificates for tests of mutual TLS.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	// Pool contains the certificate of the authority.
	Pool *x509.CertPool

	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// Subject describes a certificate.
type Subject struct {
	// URIs, DNS and IPs are the names in the certificate.
	URIs, DNS []string
	IPs       []net.IP
	// CommonName is a name that does not identify the program.
	CommonName string
	// Usages are the permitted uses of the certificate. Nil means servers and clients.
	Usages []x509.ExtKeyUsage
	// NotBefore and NotAfter are the period of validity. The zero times mean an hour ago, and in an
	// hour.
	NotBefore, NotAfter time.Time
}

// Certificate is a certificate with its private key.
type Certificate struct {
	// Leaf is the certificate.
	Leaf *x509.Certificate

	authority *Authority
	key       *ecdsa.PrivateKey
}

// New returns an authority without a name. TLS cannot distinguish two such authorities.
func New(t testing.TB) *Authority {
	t.Helper()
	return Named(t, "")
}

// Named returns an authority with a name. A TLS client presents its certificates only to a server
// that names the authority.
func Named(t testing.TB, commonName string) *Authority {
	t.Helper()
	a := &Authority{t: t, Pool: x509.NewCertPool()}
	subject := pkix.Name{CommonName: commonName}
	a.key, a.cert = a.issue(&x509.Certificate{Subject: subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, Subject{})
	a.Pool.AddCert(a.cert)
	return a
}

// issue makes a certificate. The first one is the certificate of the authority.
func (a *Authority) issue(template *x509.Certificate, s Subject) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer, parent := a.key, a.cert
	if parent == nil {
		signer, parent = key, template
	}
	template.SerialNumber = serial(a.t)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if !s.NotBefore.IsZero() {
		template.NotBefore = s.NotBefore
	}
	if !s.NotAfter.IsZero() {
		template.NotAfter = s.NotAfter
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// serial returns a serial number that no other certificate has.
func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Issue returns a new certificate.
func (a *Authority) Issue(s Subject) *Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: s.CommonName},
		DNSNames: s.DNS, IPAddresses: s.IPs, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: s.Usages,
	}
	if s.Usages == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	for _, text := range s.URIs {
		u, err := url.Parse(text)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	c := &Certificate{authority: a}
	c.key, c.Leaf = a.issue(template, s)
	return c
}

// Local returns a certificate for 127.0.0.1, ::1 and names.
func (a *Authority) Local(names ...string) *Certificate {
	a.t.Helper()
	return a.Issue(Subject{DNS: names, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}})
}

// Mutual returns the configuration of a program with a certificate for 127.0.0.1, ::1 and names.
// The program requires a certificate of the authority from its peers.
func (a *Authority) Mutual(names ...string) *tls.Config {
	a.t.Helper()
	return a.Local(names...).Mutual()
}

// TLS returns the certificate in the form that package tls needs.
func (c *Certificate) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Leaf.Raw}, PrivateKey: c.key}
}

// Mutual returns the configuration of a program with the certificate. The program requires a
// certificate of the same authority from its peers.
func (c *Certificate) Mutual() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: c.authority.Pool, ClientCAs: c.authority.Pool, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{c.TLS()},
	}
}

package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// authority issues the certificates of a demo. They are valid for an hour.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

const lifetime = time.Hour

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a := &authority{key: key, cert: template} // it certifies itself
	a.cert, err = a.certify(template, key)
	return a, err
}

// certify returns a certificate for a key.
func (a *authority) certify(template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	const bits = 120
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(lifetime)
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// pem returns the certificate of the authority, as a CA file has it.
func (a *authority) pem() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// issue writes NAME.pem and NAME.key, with a certificate that has one URI, into a directory.
func (a *authority) issue(dir, name, uri string) (*x509.Certificate, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := a.certify(&x509.Certificate{
		URIs: []*url.URL{u}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := replace(dir, name+".key", encode("PRIVATE KEY", raw)); err != nil {
		return nil, err
	}
	return cert, replace(dir, name+".pem", encode("CERTIFICATE", cert.Raw))
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

// replace writes a file atomically: readers see either the old content or the new one.
func replace(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	err := os.WriteFile(path+".next", content, 0o600)
	if err == nil {
		err = os.Rename(path+".next", path)
	}
	if err != nil {
		return fmt.Errorf("the demo cannot write its files: %w", err)
	}
	return nil
}

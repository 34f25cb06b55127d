//go:build linux

package world

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// TLS makes all processes that are started from now on use certificates of an authority of the
// world.
func (w *World) TLS() {
	dir := w.Scratch("tls")
	authorityKey, authority := w.certify(nil, nil, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the laboratory"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	key, cert := w.certify(authorityKey, authority, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a process"}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	w.Must(err)
	w.writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", authority.Raw)
	w.writePEM(filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert.Raw)
	w.writePEM(filepath.Join(dir, "key.pem"), "PRIVATE KEY", encodedKey)
	w.tls = dir
}

// certify makes a key and a certificate, which is signed by parent, or by itself if parent is nil.
func (w *World) certify(parentKey *ecdsa.PrivateKey, parent, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.Must(err)
	if parent == nil {
		parentKey, parent = key, template
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	w.Must(err)
	cert, err := x509.ParseCertificate(raw)
	w.Must(err)
	return key, cert
}

func (w *World) writePEM(file, kind string, raw []byte) {
	w.Must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600))
}

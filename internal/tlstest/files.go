package tlstest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/oslorpc/oslorpc/pkg/trust"
)

// PEM returns the certificate of the authority in the format of a CA file.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// PEM returns the certificate and its private key in the format of files.
func (c *Certificate) PEM() (cert, key []byte) {
	raw, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		c.authority.t.Fatal(err)
	}
	return encode("CERTIFICATE", c.Leaf.Raw), encode("PRIVATE KEY", raw)
}

// Write writes ca.pem, cert.pem and key.pem into a directory, and returns a configuration that
// names them. It makes the directory if necessary. Existing files are replaced one after the other,
// each atomically.
func (c *Certificate) Write(dir string) trust.Config {
	c.authority.t.Helper()
	cert, key := c.PEM()
	config := trust.Config{
		CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.authority.t.Fatal(err)
	}
	c.authority.Replace(config.CA, c.authority.PEM())
	c.authority.Replace(config.Key, key)
	c.authority.Replace(config.Cert, cert)
	return config
}

// Replace replaces a file atomically, as programs that renew certificates do. The file need not
// exist.
func (a *Authority) Replace(path string, content []byte) {
	a.t.Helper()
	next := path + ".next"
	err := os.WriteFile(next, content, 0o600)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// Bundle returns the certificates of several authorities in the format of a CA file.
func Bundle(authorities ...*Authority) []byte {
	var all bytes.Buffer
	for _, a := range authorities {
		all.Write(a.PEM())
	}
	return all.Bytes()
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

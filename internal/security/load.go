package security

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// file is a configured file.
type file struct {
	path   string
	origin string // the setting with its path, such as an environment variable
}

// read returns the content of the file.
func (f file) read() ([]byte, error) {
	info, err := os.Stat(f.path)
	if err == nil && info.IsDir() {
		return nil, failure.Invalid("%s: %q is a directory: name the file in it", f.origin, f.path)
	}
	text, err := os.ReadFile(f.path)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, failure.Invalid("%s: there is no file %q: correct the path, or write the file before the program starts", f.origin, f.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, failure.Invalid("%s: user %d may not read %q: let the user of this program read it", f.origin, os.Geteuid(), f.path)
	default:
		if e, is := errors.AsType[*fs.PathError](err); is {
			err = e.Err
		}
		return nil, failure.Invalid("%s: %q cannot be read: %v", f.origin, f.path, err)
	}
}

// authorities are the certificates of a CA file.
type authorities struct {
	text  []byte
	roots *x509.CertPool
}

// parseAuthorities parses the content of a CA file.
func (f file) parseAuthorities(text []byte, now time.Time) (*authorities, error) {
	certs, err := f.certificates(text)
	if err != nil {
		return nil, err
	}
	a := &authorities{text: text, roots: x509.NewCertPool()}
	var expired *x509.Certificate
	valid := false
	for _, c := range certs {
		a.roots.AddCert(c)
		if now.After(c.NotAfter) {
			expired = c
		} else {
			valid = true
		}
	}
	if !valid {
		return nil, failure.Invalid("%s: every certificate in %q expired, the last one at %s: get the authority's current certificate",
			f.origin, f.path, utc(expired.NotAfter))
	}
	return a, nil
}

// certificates returns the certificates in a PEM file, at least one.
func (f file) certificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	other := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, failure.Invalid("%s: a certificate in %q is malformed: %v", f.origin, f.path, err)
		}
		certs = append(certs, c)
	}
	switch {
	case len(certs) > 0:
		return certs, nil
	case other != "":
		return nil, failure.Invalid("%s: %q has no certificate, but %s: are the files swapped?", f.origin, f.path, other)
	default:
		return nil, failure.Invalid("%s: %q has no certificate in PEM form; openssl x509 -inform der converts DER", f.origin, f.path)
	}
}

// pair is a certificate and its private key.
type pair struct {
	cert, key   []byte
	certificate tls.Certificate
}

// errMismatch is the cause of the error for a key that does not belong to its certificate.
var errMismatch = errors.New("mismatch")

// parsePair parses a certificate and its key.
func parsePair(certFile, keyFile file, cert, key []byte, now time.Time) (*pair, error) {
	if _, err := certFile.certificates(cert); err != nil {
		return nil, err
	}
	if err := keyFile.checkKey(key); err != nil {
		return nil, err
	}
	p := &pair{cert: cert, key: key}
	var err error
	if p.certificate, err = tls.X509KeyPair(cert, key); err != nil {
		if strings.Contains(err.Error(), "does not match") {
			err = failure.Invalid("the private key %q (%s) does not belong to the certificate %q (%s): take both from the same issue",
				keyFile.path, keyFile.origin, certFile.path, certFile.origin)
			return nil, failure.With(err, func(e *rpc.Error) { e.Cause = errMismatch })
		}
		return nil, failure.Invalid("%s: the private key %q with the certificate %q: %v", keyFile.origin, keyFile.path, certFile.path, err)
	}
	switch leaf := p.certificate.Leaf; {
	case now.After(leaf.NotAfter):
		return nil, failure.Invalid("%s: the certificate %q expired at %s: renew it", certFile.origin, certFile.path, utc(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return nil, failure.Invalid("%s: the certificate %q is valid only from %s on: is the clock of this machine right?",
			certFile.origin, certFile.path, utc(leaf.NotBefore))
	}
	return p, nil
}

// checkKey returns an error for a private key in the wrong form.
func (f file) checkKey(text []byte) error {
	other := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return failure.Invalid("%s: the private key %q is encrypted: write it without a passphrase, readable only by this program's user",
				f.origin, f.path)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil
		default:
			other = block.Type
		}
	}
	if other != "" {
		return failure.Invalid("%s: %q has no private key, but %s: are the files swapped?", f.origin, f.path, other)
	}
	return failure.Invalid("%s: %q has no private key in PEM form", f.origin, f.path)
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

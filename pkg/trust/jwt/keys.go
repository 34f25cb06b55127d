package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// key is a public key with the algorithms that it may verify.
type key struct {
	public     crypto.PublicKey
	id         string // empty for a key of any id
	algorithms []jose.SignatureAlgorithm
}

// minRSA is the size of the smallest RSA key, in bits.
const minRSA = 2048

// algorithms returns the algorithms that a key can verify. All are asymmetric.
func algorithms(public crypto.PublicKey) ([]jose.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA {
			return nil, fmt.Errorf("an RSA key has %d bits; at least %d are required", n, minRSA)
		}
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []jose.SignatureAlgorithm{jose.ES256}, nil
		case elliptic.P384():
			return []jose.SignatureAlgorithm{jose.ES384}, nil
		case elliptic.P521():
			return []jose.SignatureAlgorithm{jose.ES512}, nil
		}
		return nil, errors.New("a key has a curve that is not P-256, P-384 or P-521")
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}, nil
	default:
		return nil, fmt.Errorf("%w: it is a %T; it must be an RSA, ECDSA or Ed25519 public key", jose.ErrUnsupportedKeyType, public)
	}
}

// every lists all algorithms that a key can be for.
var every = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// readKeys reads a file of public keys: a JSON Web Key Set, or PEM. It also returns the text of the
// file.
func readKeys(path string) (keys []key, text []byte, err error) {
	if text, err = os.ReadFile(filepath.Clean(path)); err != nil {
		return nil, nil, fmt.Errorf("the file of keys cannot be read: %w", err)
	}
	parse := parsePEM
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		parse = parseSet
	}
	if keys, err = parse(text); err != nil {
		return nil, nil, fmt.Errorf("%q: %w", path, err)
	}
	return keys, text, nil
}

// parseSet reads a JSON Web Key Set. It ignores keys for other uses and of unknown types, as RFC
// 7517 requires.
func parseSet(text []byte) (keys []key, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is not a JSON Web Key Set: %w", err)
	}
	for i, raw := range set.Keys {
		k, err := parseKey(raw)
		switch {
		case errors.Is(err, jose.ErrUnsupportedKeyType):
		case err != nil:
			return nil, fmt.Errorf("key %d of the set: %w", i+1, err)
		case len(k.algorithms) > 0:
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New(`it has no key for signatures: write {"keys": [...]}`)
	}
	return keys, nil
}

// parseKey reads a key of a set. For a key that is not for signatures, it returns a key without
// algorithms.
func parseKey(raw []byte) (key, error) {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil {
		return key{}, err
	}
	if !k.IsPublic() {
		return key{}, errNotPublic
	}
	if k.Use != "" && k.Use != "sig" {
		return key{}, nil
	}
	can, err := algorithms(k.Key)
	if k.Algorithm != "" {
		can = slices.DeleteFunc(can, func(a jose.SignatureAlgorithm) bool { return string(a) != k.Algorithm })
	}
	return key{k.Key, k.KeyID, can}, err
}

var errNotPublic = errors.New("it is not public: a program that verifies tokens must not be able to issue them")

// parsePEM reads public keys, and the keys of certificates, in PEM form.
func parsePEM(text []byte) (keys []key, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		k, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no public key, neither in PEM form nor as a JSON Web Key Set")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (k key, err error) {
	switch {
	case block.Type == "PUBLIC KEY":
		k.public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		k.public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			k.public = c.PublicKey
		}
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		err = errNotPublic
	default:
		err = fmt.Errorf("it is a %s; it must be a PUBLIC KEY or a CERTIFICATE", block.Type)
	}
	if err == nil {
		k.algorithms, err = algorithms(k.public)
	}
	return k, err
}

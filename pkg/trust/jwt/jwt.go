// Package jwt verifies JSON Web Tokens with which clients prove their identity.
//
//	tokens, err := jwt.Open(jwt.Config{Keys: "/etc/fleet/jwks.json", Issuer: "https://issuer.example", Audience: "fleet"})
//	...
//	t, err := oslorpc.Open(url, oslorpc.WithTrust(trust.Config{CA: ca, Cert: cert, Key: key, Tokens: tokens}))
//
// Only programs that import this package link the library go-jose, which it uses. docs/security.md
// has the details.
package jwt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// Config says which tokens are trusted. Keys, Issuer and Audience are required.
type Config struct {
	// Keys is the path of a file with the public keys of the issuer: a JSON Web Key Set, or public
	// keys or certificates in PEM form. Only the key of a certificate counts. Open reads the file,
	// and the verifier reads it again within a second of a change. A changed file that is not valid
	// is logged, and the earlier keys stay in use.
	Keys string
	// Issuer is the required value of a token's claim "iss".
	Issuer string
	// Audience is a value that a token's claim "aud" must contain.
	Audience string
	// Leeway is how far the clocks of the issuer and of this program may differ. The zero value
	// means 30 seconds. A negative value allows no difference.
	Leeway time.Duration
	// Log records when the keys change, and when a changed file is not valid. Nil means
	// [slog.Default].
	Log *slog.Logger
}

// Verifier implements [trust.Verifier] for JSON Web Tokens. It is safe for concurrent use.
//
// [trust.Verifier]: https://pkg.go.dev/github.com/oslorpc/oslorpc/pkg/trust#Verifier
type Verifier struct {
	config Config

	reading sync.Mutex // held while the file is read; guards text and fault
	text    []byte     // of the file
	fault   string     // that was logged

	mu     sync.Mutex // guards what follows
	keys   []key
	looked time.Time
}

const (
	defaultLeeway = 30 * time.Second
	// lookTime is the minimum time between two reads of the file.
	lookTime = time.Second
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
)

// Open returns a verifier. An error is of the kind rpc.Invalid. It says what is wrong with the
// configuration or the file.
func Open(c Config) (*Verifier, error) {
	switch {
	case c.Keys == "":
		return nil, failure.Invalid("jwt.Config.Keys is required: name the file with the public keys of the issuer")
	case c.Issuer == "":
		return nil, failure.Invalid("jwt.Config.Issuer is required: set the value that the claim iss of each token must have")
	case c.Audience == "":
		return nil, failure.Invalid("jwt.Config.Audience is required: without it, tokens for other services would be accepted")
	}
	c.Leeway = max(0, cmp.Or(c.Leeway, defaultLeeway))
	v := &Verifier{config: c, looked: time.Now()}
	var err error
	if v.keys, v.text, err = readKeys(c.Keys); err != nil {
		return nil, failure.Invalid("jwt.Config.Keys: %v", err)
	}
	return v, nil
}

// Verify returns "ISSUER/SUBJECT", and the expiry plus the leeway, for a token that is valid now. A
// valid token has at most 8 KiB, is signed by one of the keys with an asymmetric algorithm, is not
// of a type for another purpose, has the configured issuer and audience, and has a subject and an
// expiry. An error says which check failed, and does not contain the token. Verify ignores the
// context, because it only reads a local file.
func (v *Verifier) Verify(_ context.Context, token string) (subject string, expires time.Time, err error) {
	if len(token) > maxToken {
		return "", time.Time{}, fmt.Errorf("it has %d bytes; at most %d are allowed", len(token), maxToken)
	}
	parsed, err := jwt.ParseSigned(token, every)
	if err != nil {
		return "", time.Time{}, malformed(err)
	}
	claims, err := v.claims(parsed)
	if err != nil {
		return "", time.Time{}, err
	}
	if err := checkType(parsed.Headers[0].ExtraHeaders[jose.HeaderType]); err != nil {
		return "", time.Time{}, err
	}
	if err := v.config.check(claims, time.Now()); err != nil {
		return "", time.Time{}, err
	}
	return v.config.Issuer + "/" + claims.Subject, claims.Expiry.Time().Add(v.config.Leeway), nil
}

// malformed returns the error of a token that cannot be parsed. It leaves out the library's error,
// which could quote the token.
func malformed(err error) error {
	if unexpected := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &unexpected) {
		return fmt.Errorf("its algorithm is not one of %s", every)
	}
	return errors.New("it is not a signed token in the compact form of JWS")
}

// claims returns the claims of a token after it verified the signature.
func (v *Verifier) claims(token *jwt.JSONWebToken) (*jwt.Claims, error) {
	h := token.Headers[0] // there is one, since the form is compact
	fits := false
	for _, k := range v.current() {
		if !slices.Contains(k.algorithms, jose.SignatureAlgorithm(h.Algorithm)) || h.KeyID != "" && k.id != "" && h.KeyID != k.id {
			continue
		}
		fits = true
		var claims jwt.Claims
		if err := token.Claims(k.public, &claims); err == nil {
			return &claims, nil
		}
	}
	if !fits {
		return nil, fmt.Errorf("no key has its key id and is for its algorithm, %s", h.Algorithm)
	}
	return nil, errors.New("its signature is wrong, or its claims are malformed")
}

// checkType returns an error if a token is for another purpose. Issuers use the same keys to sign
// tokens that announce a logout or prove a key. The accepted types are listed in RFC 7519 and RFC
// 9068. Many issuers set no type.
func checkType(typ any) error {
	switch text, isText := typ.(string); {
	case typ == nil:
		return nil
	case !isText:
		return errors.New("its type (typ) is not a string: it must be JWT or at+jwt, or left out")
	default:
		switch strings.TrimPrefix(strings.ToLower(text), "application/") { // RFC 7515, 4.1.9
		case "jwt", "at+jwt":
			return nil
		}
		return fmt.Errorf("its type (typ) is %.100q, which is for another purpose: it must be JWT or at+jwt, or left out", text)
	}
}

// check returns an error that says which claim is wrong. The claims come from the issuer, since one
// of its keys signed them.
func (c *Config) check(claims *jwt.Claims, now time.Time) error {
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: c.Issuer, AnyAudience: jwt.Audience{c.Audience}, Time: now}, c.Leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return fmt.Errorf("its issuer (iss) is %.200q, and must be %q", claims.Issuer, c.Issuer)
	case errors.Is(err, jwt.ErrInvalidAudience):
		return fmt.Errorf("its audience (aud) does not contain %q", c.Audience)
	case errors.Is(err, jwt.ErrExpired):
		return fmt.Errorf("it expired (exp) at %s", date(claims.Expiry))
	case errors.Is(err, jwt.ErrNotValidYet):
		return fmt.Errorf("it is valid (nbf) from %s on: compare the clocks", date(claims.NotBefore))
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return fmt.Errorf("it was issued (iat) in the future, at %s: compare the clocks", date(claims.IssuedAt))
	case err != nil:
		return err
	case claims.Subject == "":
		return errors.New("it has no subject (sub)")
	case claims.Expiry == nil:
		return errors.New("it has no expiry (exp)")
	default:
		return nil
	}
}

func date(d *jwt.NumericDate) string { return d.Time().UTC().Format(time.RFC3339) }

// current returns the current keys.
func (v *Verifier) current() []key {
	if v.isDue() && v.reading.TryLock() { // a slow file system holds up one RPC, not all of them
		v.look()
		v.reading.Unlock()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keys
}

// isDue reports whether the file should be read again. It returns true to one caller only.
func (v *Verifier) isDue() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	due := now.Sub(v.looked) >= lookTime
	if due {
		v.looked = now
	}
	return due
}

// look reads the file again. The caller holds the lock for reading.
func (v *Verifier) look() {
	keys, text, err := readKeys(v.config.Keys)
	log := cmp.Or(v.config.Log, slog.Default())
	switch {
	case err != nil:
		if v.fault != err.Error() {
			v.fault = err.Error()
			log.Error("the new keys of tokens cannot be used; the previous keys stay in use", "error", err)
		}
		return
	case !slices.Equal(text, v.text):
		log.Info("the keys of tokens changed", "file", v.config.Keys, "keys", len(keys))
	}
	v.text, v.fault = text, ""
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = keys
}

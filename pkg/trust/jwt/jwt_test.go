package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

var _ trust.Verifier = (*Verifier)(nil)

const (
	issuer   = "https://issuer.example"
	audience = "fleet"
)

// These are the private keys of the tests.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, minRSA)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return must(private, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signed returns a token with claims.
func signed(algorithm jose.SignatureAlgorithm, key any, claims map[string]any) string {
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// good returns the claims of a valid token, with changes. A nil value removes a claim.
func good(changes map[string]any) map[string]any {
	claims := map[string]any{"iss": issuer, "aud": []string{"other", audience}, "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// public returns the public keys of private keys in PEM form.
func public(keys ...crypto.Signer) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.Public()))}))
	}
	return b.Bytes()
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	replace(t, path, text)
	return path
}

func replace(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verifier returns a verifier with the keys in a text.
func verifier(t *testing.T, text []byte) *Verifier {
	t.Helper()
	v, err := Open(Config{Keys: write(t, text), Issuer: issuer, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantRefused checks that a token is refused, and that the error contains text and no part of the
// token.
func wantRefused(t *testing.T, v *Verifier, token, text string) {
	t.Helper()
	subject, expires, err := v.Verify(t.Context(), token)
	if err == nil || subject != "" || !expires.IsZero() || !strings.Contains(err.Error(), text) {
		t.Errorf("got %q, %v and the error %v, want %q", subject, expires, err, text)
		return
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error has a part of the token: %v", err)
		}
	}
	if len(err.Error()) > 500 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func wantAnn(t *testing.T, v *Verifier, token string) {
	t.Helper()
	subject, _, err := v.Verify(t.Context(), token)
	if err != nil || subject != issuer+"/ann" {
		t.Errorf("got %q and the error %v", subject, err)
	}
}

func TestGoodTokens(t *testing.T) {
	keys := []crypto.Signer{rsaKey(), ecKey(), edKey()}
	set := jose.JSONWebKeySet{}
	for i, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: string(rune('a' + i)), Use: "sig"})
	}
	for form, v := range map[string]*Verifier{"PEM": verifier(t, public(keys...)), "JWKS": verifier(t, must(json.Marshal(set)))} {
		for algorithm, key := range map[jose.SignatureAlgorithm]any{
			jose.RS256: rsaKey(), jose.PS512: rsaKey(), jose.ES256: ecKey(), jose.EdDSA: edKey(),
		} {
			claims := good(map[string]any{"nbf": time.Now().Add(20 * time.Second).Unix(), "iat": time.Now().Add(20 * time.Second).Unix()})
			subject, expires, err := v.Verify(t.Context(), signed(algorithm, key, claims))
			if err != nil || subject != issuer+"/ann" || expires.Unix() != claims["exp"].(int64)+30 {
				t.Errorf("%s, %s: got %q, %v and the error %v", form, algorithm, subject, expires, err)
			}
		}
	}
}

func TestClaims(t *testing.T) {
	v := verifier(t, public(ecKey()))
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for title, test := range map[string]struct {
		changes map[string]any
		want    string
	}{
		"another issuer":   {map[string]any{"iss": issuer + "/"}, `its issuer (iss) is "https://issuer.example/", and must be "https://issuer.example"`},
		"a long issuer":    {map[string]any{"iss": strings.Repeat("x", 5000)}, "(iss)"},
		"no issuer":        {map[string]any{"iss": nil}, `its issuer (iss) is "", and must be`},
		"another audience": {map[string]any{"aud": "fleets"}, `its audience (aud) does not contain "fleet"`},
		"no audience":      {map[string]any{"aud": nil}, "(aud)"},
		"expired":          {map[string]any{"exp": at(-time.Minute)}, "it expired (exp) at 20"},
		"no expiry":        {map[string]any{"exp": nil}, "it has no expiry (exp)"},
		"a broken expiry":  {map[string]any{"exp": "never"}, "its claims are malformed"},
		"not yet valid":    {map[string]any{"nbf": at(time.Minute)}, "it is valid (nbf) from 20"},
		"from the future":  {map[string]any{"iat": at(time.Minute)}, "it was issued (iat) in the future"},
		"no subject":       {map[string]any{"sub": nil}, "it has no subject (sub)"},
		"an empty subject": {map[string]any{"sub": ""}, "it has no subject (sub)"},
	} {
		t.Run(title, func(t *testing.T) { wantRefused(t, v, signed(jose.ES256, ecKey(), good(test.changes)), test.want) })
	}
	wantAnn(t, v, signed(jose.ES256, ecKey(), good(map[string]any{"exp": at(-20 * time.Second)})))
	strict := must(Open(Config{Keys: write(t, public(ecKey())), Issuer: issuer, Audience: audience, Leeway: -1}))
	wantRefused(t, strict, signed(jose.ES256, ecKey(), good(map[string]any{"exp": at(-2 * time.Second)})), "(exp)")
}

func TestForgedTokens(t *testing.T) {
	v := verifier(t, public(rsaKey(), ecKey()))
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	token := signed(jose.ES256, ecKey(), good(nil))
	parts := strings.Split(token, ".")
	plain := func(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) }
	other := strings.Split(signed(jose.ES256, ecKey(), good(map[string]any{"sub": "bob"})), ".")
	embedding := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, &jose.SignerOptions{EmbedJWK: true}))
	for title, test := range map[string]struct{ token, want string }{
		"alg none":             {plain(`{"alg":"none"}`) + "." + parts[1] + ".", "its algorithm is not one of [RS256"},
		"no alg":               {plain(`{}`) + "." + parts[1] + "." + parts[2], "its algorithm is not one of [RS256"},
		"a long alg":           {plain(`{"alg":"`+strings.Repeat("x", 5000)+`"}`) + "." + parts[1] + ".", "its algorithm is not one of"},
		"HS256 by public key":  {signed(jose.HS256, public(rsaKey()), good(nil)), "its algorithm is not one of [RS256"},
		"another key":          {signed(jose.ES256, stranger, good(nil)), "its signature is wrong"},
		"its own key":          {must(must(embedding.Sign(must(json.Marshal(good(nil))))).CompactSerialize()), "its signature is wrong"},
		"another kind of key":  {signed(jose.EdDSA, edKey(), good(nil)), "no key has its key id and is for its algorithm, EdDSA"},
		"claims of another":    {parts[0] + "." + other[1] + "." + parts[2], "its signature is wrong"},
		"no signature":         {parts[0] + "." + parts[1] + ".", "its signature is wrong"},
		"a truncated one":      {token[:len(token)-4], "its signature is wrong"},
		"without a part":       {parts[0] + "." + parts[1], "it is not a signed token"},
		"half":                 {token[:len(token)/2], "it is not a signed token"},
		"JSON":                 {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "it is not a signed token"},
		"garbage":              {"top-secret-value", "it is not a signed token"},
		"empty":                {"", "it is not a signed token"},
		"huge":                 {signed(jose.ES256, ecKey(), good(map[string]any{"x": strings.Repeat("x", maxToken)})), "at most 8192 are allowed"},
		"claims are no object": {must(must(must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ecKey()}, nil)).Sign([]byte(`[]`))).CompactSerialize()), "its claims are malformed"},
	} {
		t.Run(title, func(t *testing.T) { wantRefused(t, v, test.token, test.want) })
	}
	wantAnn(t, v, token)
}

// A key of a set is valid only for its algorithm, and for tokens with its ID or without an ID.
func TestKeysOfASet(t *testing.T) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: rsaKey().Public(), KeyID: "one", Algorithm: "RS256"},
		{Key: ecKey().Public(), KeyID: "two", Use: "enc"},
	}}
	text := must(json.Marshal(set))
	text = bytes.Replace(text, []byte(`{"keys":[`), []byte(`{"keys":[{"kty":"unheard-of"},{"kty":"OKP","crv":"X25519","x":"AA"},`), 1)
	v := verifier(t, text)
	wantAnn(t, v, signed(jose.RS256, jose.JSONWebKey{Key: rsaKey(), KeyID: "one"}, good(nil)))
	wantAnn(t, v, signed(jose.RS256, rsaKey(), good(nil)))
	wantRefused(t, v, signed(jose.RS256, jose.JSONWebKey{Key: rsaKey(), KeyID: "two"}, good(nil)), "no key has its key id")
	wantRefused(t, v, signed(jose.RS512, rsaKey(), good(nil)), "no key has its key id and is for its algorithm, RS512")
	wantRefused(t, v, signed(jose.ES256, ecKey(), good(nil)), "no key has its key id")
}

func TestOpenRefuses(t *testing.T) {
	key := write(t, public(ecKey()))
	small := &rsa.PublicKey{N: must(rsa.GenerateKey(rand.Reader, 1024)).N, E: 65537}
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(ecKey()))})
	set := func(k any) []byte { return must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k}}})) }
	for want, c := range map[string]Config{
		"Keys is required":               {Issuer: issuer, Audience: audience},
		"Issuer is required":             {Keys: key, Audience: audience},
		"Audience is required":           {Keys: key, Issuer: issuer},
		"cannot be read":                 {Keys: key + "x", Issuer: issuer, Audience: audience},
		"has no public key":              {Keys: write(t, []byte("nothing")), Issuer: issuer, Audience: audience},
		"key 2: it is not public":        {Keys: write(t, append(public(ecKey()), private...)), Issuer: issuer, Audience: audience},
		"key 1: it is a X":               {Keys: write(t, []byte("-----BEGIN X-----\n-----END X-----\n")), Issuer: issuer, Audience: audience},
		"that is not P-256":              {Keys: write(t, public(p224)), Issuer: issuer, Audience: audience},
		"has 1024 bits":                  {Keys: write(t, set(small)), Issuer: issuer, Audience: audience},
		"not a JSON Web Key Set":         {Keys: write(t, []byte("{")), Issuer: issuer, Audience: audience},
		"no key for signatures":          {Keys: write(t, []byte("{}")), Issuer: issuer, Audience: audience},
		"key 1 of the set: it is not pu": {Keys: write(t, set([]byte("a symmetric key"))), Issuer: issuer, Audience: audience},
		"set: it is not public":          {Keys: write(t, set(ecKey())), Issuer: issuer, Audience: audience},
	} {
		_, err := Open(c)
		if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got the error %v, want %q", err, want)
		}
	}
}

// A file that is replaced takes effect within a second. If the file is broken or removed, the old
// keys stay, and this is logged once.
func TestKeysChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, public(ecKey()))
		log := &bytes.Buffer{}
		v := must(Open(Config{Keys: path, Issuer: issuer, Audience: audience, Log: slog.New(slog.NewTextHandler(log, nil))}))
		old, young := signed(jose.ES256, ecKey(), good(nil)), signed(jose.EdDSA, edKey(), good(nil))
		check := func(change string, lines int, accepted, refused string) {
			t.Helper()
			for range 3 {
				time.Sleep(lookTime)
				wantAnn(t, v, accepted)
				wantRefused(t, v, refused, "no key")
			}
			if got := strings.Count(log.String(), "\n"); got != lines {
				t.Errorf("%s: the log has %d lines, want %d:\n%s", change, got, lines, log)
			}
		}
		check("none", 0, old, young)
		replace(t, path, []byte("-----BEGIN"))
		check("broken", 1, old, young)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		check("removed", 2, old, young)
		replace(t, path, public(edKey()))
		check("replaced", 3, young, old)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		check("removed again", 4, young, old)
		replace(t, path, public(edKey()))
		check("as it was", 4, young, old)
		replace(t, path, public(ecKey(), edKey()))
		time.Sleep(lookTime)
		wantAnn(t, v, old)
		wantAnn(t, v, young)
	})
}

// Only access tokens are accepted: the issuer signs other tokens with the same keys.
func TestTypes(t *testing.T) {
	key := edKey()
	v := verifier(t, public(key))
	of := func(typ any) string {
		options := &jose.SignerOptions{}
		if typ != nil {
			options = options.WithHeader(jose.HeaderType, typ)
		}
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, options))
		return must(must(signer.Sign(must(json.Marshal(good(nil))))).CompactSerialize())
	}
	for _, typ := range []any{nil, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"} {
		wantAnn(t, v, of(typ))
	}
	for _, typ := range []any{"", "JOSE", "logout+jwt", "dpop+jwt", "secevent+jwt", "application/application/jwt", "at+jwt ", "text/jwt", strings.Repeat("x", 1000)} {
		wantRefused(t, v, of(typ), "its type (typ) is")
	}
	wantRefused(t, v, of(7), "its type (typ) is not a string")
}

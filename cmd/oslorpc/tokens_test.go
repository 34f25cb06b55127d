package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/oslorpc/oslorpc/internal/tlstest"
)

// TestServeVerifiesTokens checks that serve accepts a token of the issuer, refuses another token,
// and logs why.
func TestServeVerifiesTokens(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	keys := file("keys.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := func(audience string) string {
		claims := jwt.Claims{
			Issuer: "https://issuer.example", Subject: "ann", Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
		}
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return file(audience, text)
	}
	policy := file("policy.yaml", "rules:\n- from: token:https://issuer.example/ann\n")
	files := tlstest.New(t).Local("localhost").Write(dir)
	f := newFleet(t)
	f.serve("node1", "--ca", files.CA, "--cert", files.Cert, "--key", files.Key, "--policy", policy,
		"--token-keys", keys, "--token-issuer", "https://issuer.example", "--token-audience", "fleet")
	f.ok("call", "demo", "whoami", "--ca", files.CA, "--token-file", token("fleet"))
	for _, flags := range [][]string{{"--token-file", token("shop")}, nil} {
		r := f.run(append([]string{"call", "demo", "whoami", "--ca", files.CA}, flags...)...)
		if r.code == 0 || !strings.Contains(r.errs, "token") {
			t.Errorf("call %q ends with %d: %s%s", flags, r.code, r.out, r.errs)
		}
	}
	f.find(1, "node1", `its audience (aud) does not contain`)
	for flags, want := range map[string]string{
		"--token-keys " + keys: "are needed together",
		"--token-keys " + policy + " --token-issuer x --token-audience y": "--token-keys: ",
	} {
		r := newFleet(t).run(append([]string{"serve", "--topic", "demo"}, strings.Fields(flags)...)...)
		if r.code != 2 || !strings.Contains(r.errs, want) {
			t.Errorf("serve %s ends with %d: %s", flags, r.code, r.errs)
		}
	}
}

package oslorpc_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
	"github.com/oslorpc/oslorpc/pkg/trust/jwt"
)

// A JSON Web Token proves an identity that consists of its issuer and subject.
func TestJSONWebToken(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(keys, set, 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := jwt.Open(jwt.Config{Keys: keys, Issuer: "https://issuer.example", Audience: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	files := tlstest.New(t).Local("localhost").Write(t.TempDir())
	files.Tokens = tokens
	seen := &identities{}
	server := open(t, oslorpc.WithTrust(files), oslorpc.WithInterceptors(oslorpc.Interceptor{Accept: seen.note})).
		Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	server.Add(newAgent("node1").endpoint("1.0"))
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	call := func(life time.Duration) error {
		t.Helper()
		claims := josejwt.Claims{
			Issuer: "https://issuer.example", Subject: "ann", Audience: josejwt.Audience{"fleet"}, Expiry: josejwt.NewNumericDate(time.Now().Add(life)),
		}
		token, err := josejwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		client := open(t, oslorpc.WithTrust(trust.Config{CA: files.CA, TokenFile: tokenFile(t, token)})).
			Client(oslorpc.Target{Topic: "agents", Version: "1.0"})
		_, err = oslorpc.Call[string](t.Context(), client, "whoami", nil)
		return err
	}
	if err := call(time.Hour); err != nil || seen.get() != "token:https://issuer.example/ann" {
		t.Errorf("it was sent as %q, with the error %v", seen.get(), err)
	}
	err = call(-time.Hour)
	wantKind(t, err, oslorpc.AccessDenied, true)
	wantText(t, err, "does not accept the token")
}

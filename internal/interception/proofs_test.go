package interception

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// proof is a way in which a client proves its identity.
type proof struct {
	name string
	// client and server return the trust configurations of the two ends.
	client, server func(t *testing.T, a *tlstest.Authority) trust.Config
	// listen returns the address at which a server listens, given a separate directory.
	listen func(dir string) string
	// from is a pattern in a rule that matches the client. identity is the client's name in the
	// audit log.
	from, identity string
}

func proofs() []proof {
	tcp := func(string) string { return "127.0.0.1:0" }
	inClear := func(*testing.T, *tlstest.Authority) trust.Config { return trust.Config{} }
	certified := func(name string) func(*testing.T, *tlstest.Authority) trust.Config {
		return func(_ *testing.T, a *tlstest.Authority) trust.Config { return trust.Config{TLS: a.Mutual(name)} }
	}
	user := fmt.Sprintf("user:%d", os.Getuid())
	return []proof{
		{"mTLS", certified(clientName), certified("node.example"), tcp, "dns:client.*", "dns:" + clientName},
		{"token", withToken, takingTokens, tcp, "token:https://issuer.example/cli*", "token:https://issuer.example/client"},
		{"none", inClear, inClear, tcp, "anyone", "unproven"},
		{"user", inClear, inClear, func(dir string) string { return "unix:" + filepath.Join(dir, "s") }, user, user},
	}
}

// withToken returns a configuration of a client that proves its identity by a token.
func withToken(t *testing.T, a *tlstest.Authority) trust.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("the-token-of-client\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return trust.Config{TLS: &tls.Config{RootCAs: a.Pool, MinVersion: tls.VersionTLS13}, TokenFile: file}
}

// takingTokens returns a configuration of a server that verifies tokens and, if there are any,
// certificates.
func takingTokens(_ *testing.T, a *tlstest.Authority) trust.Config {
	config := a.Mutual("node.example")
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return trust.Config{TLS: config, Tokens: tokens{}}
}

// tokens verifies the tokens of tests.
type tokens struct{}

// Verify implements [trust.Verifier].
func (tokens) Verify(_ context.Context, token string) (subject string, expires time.Time, err error) {
	switch token {
	case "the-token-of-client":
		return "https://issuer.example/client", time.Now().Add(time.Hour), nil
	case "the-token-of-stranger":
		return "https://issuer.example/stranger", time.Time{}, nil
	case "the-token-that-expired":
		return "https://issuer.example/client", time.Now().Add(-time.Second), nil
	case "the-token-of-nobody":
		return "", time.Time{}, nil
	case "the-token-of-two-lines":
		return "https://issuer.example/a\nb", time.Time{}, nil
	case "the-token-that-panics":
		panic("the-token-that-panics")
	default:
		return "", time.Time{}, errors.New(token + " is not signed by an issuer")
	}
}

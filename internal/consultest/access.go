package consultest

import (
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/hashicorp/consul/api"
)

// ACLs configures an agent that denies everything that no policy allows.
const ACLs = `
acl {
  enabled = true
  default_policy = "deny"
  tokens { initial_management = "` + Token + `" }
}`

// Client returns a client of the agent's API that sends the given token.
func (a *Agent) Client(t testing.TB, token string) *api.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := api.NewClient(&api.Config{
		Address: "http://" + a.Addr(), Token: token, HttpClient: &http.Client{Transport: transport, Timeout: readyWithin},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// NewToken makes a token with a policy of the given rules.
func (a *Agent) NewToken(t testing.TB, rules string) string {
	t.Helper()
	acl := a.Client(t, Token).ACL()
	policy, _, err := acl.PolicyCreate(&api.ACLPolicy{Name: "test-" + rand.Text(), Rules: rules}, nil)
	if err != nil {
		t.Fatalf("consultest: policy %s: %v", rules, err)
	}
	token, _, err := acl.TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatalf("consultest: token: %v", err)
	}
	return token.SecretID
}

// TokenFile makes a token like NewToken, and returns a file that contains the token.
func (a *Agent) TokenFile(t testing.TB, rules string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(a.NewToken(t, rules)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Policies returns the policies in a page of the documentation. The keys are the names in the
// comments on the policies' first lines.
func Policies(t testing.TB, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page) //nolint:gosec // The test names the page.
	if err != nil {
		t.Fatal(err)
	}
	policies := map[string]string{}
	for _, found := range regexp.MustCompile("(?s)```hcl\n# ([^\n]*)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		policies[found[1]] = found[2]
	}
	return policies
}

package consul

import (
	"encoding/pem"
	"errors"
	"log"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestAccess uses Consul with TLS and ACLs, and replaces the token.
func TestAccess(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.ACLs)
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: agent.Addr()}))
	front.Config.ErrorLog = log.New(t.Output(), "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	dir := t.TempDir()
	caFile, tokenFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	write(t, caFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})))
	write(t, tokenFile, "5ca1ab1e-0000-4000-8000-00000000dead\n")
	address := "consul://" + front.Listener.Addr().String()

	for parameters, want := range map[string]struct {
		kind rpc.Kind
		text string
	}{
		"":                 {rpc.Invalid, "consul-tls=true"},
		"?consul-tls=true": {rpc.Unreachable, "certificate"},
		"?consul-tls=true&consul-ca=" + caFile + "&consul-token-file=" + tokenFile: {rpc.Unreachable, "consul-token-file"},
	} {
		_, err := open(t, address+parameters).List(t.Context())
		if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("List with %q: %v, want an error of kind %q with %q", parameters, err, want.kind, want.text)
		}
	}

	goodFile := filepath.Join(dir, "good")
	write(t, goodFile, consultest.Token)
	observer := watchCompute(t, open(t, agent.URL()+"?consul-token-file="+goodFile))
	r := open(t, address+"?ttl=1s&consul-tls=true&consul-ca="+caFile+"&consul-token-file="+tokenFile)
	w := watchCompute(t, r)
	w.failure()
	one := instance("one")
	if err := r.Publish(t.Context(), []rpc.Instance{one}); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("Publish with a wrong token: %v, want an error of kind %q", err, rpc.Unreachable)
	}
	write(t, tokenFile, consultest.Token+"\n")
	publish(t, r, one)
	w.list(one)

	must(t, os.Remove(tokenFile))
	if _, err := r.List(t.Context()); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), tokenFile) {
		t.Errorf("List without the token file: %v, want an error of kind %q that names it", err, rpc.Unreachable)
	}
	observer.list(one)
	observer.list() // Without a token r cannot send signs of life.
	write(t, tokenFile, consultest.Token)
	observer.list(one)
}

// TestHidden uses a token that has all permissions except for reading nodes, a permission that is
// easily forgotten.
func TestHidden(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.ACLs)
	tokenFile := filepath.Join(t.TempDir(), "token")
	write(t, tokenFile, consultest.Token)
	r := open(t, agent.URL()+"?consul-token-file="+tokenFile)
	acl := r.client.api.ACL()
	policy, _, err := acl.PolicyCreate(&api.ACLPolicy{Name: "services", Rules: `service_prefix "oslorpc-" { policy = "write" }`}, nil)
	must(t, err)
	token, _, err := acl.TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	must(t, err)
	write(t, tokenFile, token.SecretID)

	publish(t, r, instance("one"))
	if _, err := r.List(t.Context()); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "nodes") {
		t.Errorf("List: %v, want an error of kind %q about nodes", err, rpc.Unreachable)
	}
	if err := watchCompute(t, r).failure(); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "nodes") {
		t.Errorf("Watch: %v, want an error of kind %q about nodes", err, rpc.Unreachable)
	}
}

func TestTokenFromEnvironment(t *testing.T) {
	agent := consultest.Start(t, consultest.ACLs)
	t.Setenv("CONSUL_HTTP_TOKEN", " "+consultest.Token+"\n")
	r := open(t, agent.URL())
	one := instance("one")
	publish(t, r, one)
	watchCompute(t, r).list(one)
}

// TestBusy has an agent without a free connection.
func TestBusy(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, "limits { http_max_conns_per_client = 8 }")
	r := open(t, agent.URL())
	var taken []net.Conn
	// The number depends on how soon the agent notices that others are closed.
	eventually(t, "List fails for want of a connection", func() bool {
		conn, err := net.Dial("tcp", agent.Addr())
		must(t, err)
		taken = append(taken, conn)
		r.client.close()
		_, err = r.List(t.Context())
		if err != nil && (!errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "http_max_conns_per_client")) {
			t.Fatalf("List: %v, want an error of kind %q that names the limit", err, rpc.Unreachable)
		}
		return err != nil
	})
	w := watchCompute(t, r)
	for _, conn := range taken {
		must(t, conn.Close())
	}
	w.list()
}

func write(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.WriteFile(file, []byte(text), 0o600))
}

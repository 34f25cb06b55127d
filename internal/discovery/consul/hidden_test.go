package consul

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const anonymousToken = "00000000-0000-0000-0000-000000000002"

// TestPermissions has tokens with different read permissions, and topics with and without a server.
// Without the permission there is an error and not an empty fleet. A readable topic without servers
// is not an error.
func TestPermissions(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.ACLs)
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "management")
	write(t, tokenFile, consultest.Token)
	manager := open(t, agent.URL()+"?consul-token-file="+tokenFile)
	one := instance("one")
	publish(t, manager, one)
	watchCompute(t, manager).list(one)
	empty := registry.Topic{Exchange: "nova", Name: "empty"}
	const (
		services = `service_prefix "oslorpc-" { policy = "read" }`
		nodes    = `node_prefix "" { policy = "read" }`
	)
	for _, test := range []struct {
		name, rules          string
		list, compute, empty bool // whether it can be read
	}{
		{"nothing", "", false, false, false},
		{"other services", `service_prefix "other-" { policy = "read" }` + nodes, false, false, false},
		{"no nodes", services, false, false, true},
		{"one topic", `service "oslorpc-nova-empty" { policy = "read" }` + nodes, false, false, true},
		{"all", services + nodes, true, true, true},
	} {
		acl := manager.client.api.ACL()
		policy, _, err := acl.PolicyCreate(&api.ACLPolicy{Name: "p-" + filepath.Base(t.TempDir()) + "-" + serviceName(registry.Topic{Name: test.name}), Rules: test.rules}, nil)
		must(t, err)
		links := []*api.ACLTokenPolicyLink{{ID: policy.ID}}
		token, _, err := acl.TokenCreate(&api.ACLToken{Policies: links}, nil)
		must(t, err)
		_, _, err = acl.TokenUpdate(&api.ACLToken{AccessorID: anonymousToken, Policies: links}, nil)
		must(t, err)
		file := filepath.Join(dir, "token")
		write(t, file, token.SecretID)
		for kind, r := range map[string]*Registry{"token": open(t, agent.URL()+"?consul-token-file="+file), "no token": open(t, agent.URL())} {
			name := kind + " for " + test.name
			// Consul caches the permissions of a token for a while.
			eventually(t, name+": List as wanted", func() bool {
				listed, err := r.List(t.Context())
				return asWanted(t, name, err, test.list) && (err != nil || registry.Same(listed, []rpc.Instance{one}))
			})
			for topic, readable := range map[registry.Topic]bool{compute: test.compute, empty: test.empty} {
				w := watched{t, make(chan registry.Update, 10)}
				stop := r.Watch(topic, func(u registry.Update) { w.updates <- u })
				w.until(name+" is as wanted for "+topic.Name, func(u registry.Update) bool {
					return asWanted(t, name, u.Err, readable) && (u.Err != nil || len(u.Instances) == 1 == (topic == compute))
				})
				stop()
			}
		}
	}
}

func asWanted(t *testing.T, name string, err error, readable bool) bool {
	t.Helper()
	if err != nil && (!errors.Is(err, rpc.Unreachable) || !errors.Is(err, errHidden)) {
		t.Errorf("%s: %v, want an error of kind %q about permissions", name, err, rpc.Unreachable)
	}
	return readable == (err == nil)
}

// TestPermissionsTaken has a watch that loses the permission to read its topic, and nodes without a
// server that any token may read.
func TestPermissionsTaken(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.ACLs)
	dir := t.TempDir()
	managementFile, file := filepath.Join(dir, "management"), filepath.Join(dir, "token")
	write(t, managementFile, consultest.Token)
	manager := open(t, agent.URL()+"?consul-token-file="+managementFile)
	acl := manager.client.api.ACL()
	policy, _, err := acl.PolicyCreate(&api.ACLPolicy{
		Name: "all", Rules: `service_prefix "oslorpc-" { policy = "read" } node_prefix "" { policy = "read" }`,
	}, nil)
	must(t, err)
	token, _, err := acl.TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	must(t, err)
	write(t, file, token.SecretID)
	r := open(t, agent.URL()+"?consul-token-file="+file)
	shareAll(r)
	if listed, err := r.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("List of an empty fleet: %v, %v", listed, err)
	}
	w := watchCompute(t, r)
	w.list()
	one := instance("one")
	publish(t, manager, one)
	w.list(one)
	token.Policies = nil
	_, _, err = acl.TokenUpdate(token, nil)
	must(t, err)
	publish(t, manager)
	u := w.until("tells something", func(registry.Update) bool { return true })
	if !errors.Is(u.Err, rpc.Unreachable) {
		t.Errorf("told of %+v, want an error of kind %q", u, rpc.Unreachable)
	}
}

// A blocking query may be answered from a copy that does not report that something is hidden.
func TestHiddenWhileWaiting(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-Lastcontact", "0")
		if request.URL.Query().Get("index") == "" {
			w.Header().Set("X-Consul-Results-Filtered-By-Acls", "true")
		}
		_, _ = io.WriteString(w, "[]")
	}))
	t.Cleanup(server.Close)
	r := open(t, "consul://"+server.Listener.Addr().String())
	if entries, _, err := r.client.changed(t.Context(), "oslorpc-nova-compute", 5); !errors.Is(err, errHidden) {
		t.Errorf("got %v, %v, want %v", entries, err, errHidden)
	}
}

//go:build unix

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/consulacl"
	"github.com/oslorpc/oslorpc/internal/consultest"
)

// policies are the ACL policies of the documentation, with another topic in place of demo.
type policies map[string]string

func (p policies) of(t *testing.T, role, topic string) string {
	t.Helper()
	rules := p[role]
	if rules == "" {
		t.Fatalf("docs/discovery.md has no policy for %s; it has %q", role, p)
	}
	return strings.ReplaceAll(rules, "oslorpc-openstack-demo", "oslorpc-openstack-"+topic)
}

// TestDocumentedPolicies uses one token for each role, with the policy that docs/discovery.md
// gives. A hostile program has the policies of a server on another topic and of a client of this
// topic.
func TestDocumentedPolicies(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.ACLs)
	documented := policies(consultest.Policies(t, "../../docs/discovery.md"))
	as := func(rules string) *fleet {
		f := newFleet(t)
		f.url = agent.URL() + "?consul-token-file=" + agent.TokenFile(t, rules)
		return f
	}
	server := as(documented.of(t, "a server on the topic demo", "demo"))
	client := as(documented.of(t, "a client of the topic demo", "demo"))
	operator := as(documented.of(t, "an operator of the whole fleet", "demo"))

	server.serve("node1")
	for _, line := range []string{"ls demo", "call demo whoami", "fanout demo whoami", "ping demo", "info demo", "versions demo"} {
		client.ok(strings.Fields(line)...)
	}
	for _, line := range []string{
		"ls", "call demo whoami", "ping demo", "info demo", "versions demo", "versions why demo", "deprecations demo", "upgrade check demo --to 1.0",
	} {
		operator.ok(strings.Fields(line)...)
	}
	for name, f := range map[string]*fleet{
		"a client": client, "an operator": operator, "a server on another topic": as(documented.of(t, "a server on the topic demo", "evil")),
	} {
		r := f.run("serve", "--topic", "demo", "--server", "impostor")
		if r.code == 0 || !strings.Contains(r.errs, "oslorpc-openstack-demo") {
			t.Errorf("%s serves the topic, with exit code %d and %s", name, r.code, r.errs)
		}
	}

	token := agent.NewToken(t, documented.of(t, "a server on the topic demo", "evil")+documented.of(t, "a client of the topic demo", "demo"))
	hostile := agent.Client(t, token).Agent()
	for _, name := range []string{"oslorpc-openstack-evil", "oslorpc-openstack-evil--process"} {
		err := hostile.ServiceRegister(&api.AgentServiceRegistration{
			ID: "impostor-" + name, Name: name, Address: "127.0.0.1", Port: 1, Meta: map[string]string{
				"rpc-exchange": "openstack", "rpc-topic": "demo", "rpc-server": "impostor", "rpc-instance": "impostor", "rpc-boot": "impostor",
				"rpc-state": "active", "rpc-versions-0": "=0.9",
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	inCatalog(t, agent, "oslorpc-openstack-evil")
	r := operator.ok("ls", "--output", "json")
	if strings.Contains(r.out, "impostor") || !strings.Contains(r.errs, "impostor-oslorpc-openstack-evil") {
		t.Errorf("with an impostor, ls shows %s and logs %s", r.out, r.errs)
	}
	if names := client.servers(); !slices.Equal(names, []string{"node1"}) {
		t.Errorf("with an impostor, the client sees %q", names)
	}
	operator.ok("upgrade", "check", "demo", "--to", "1.0")
}

// TestConsulPolicy uses the policies that oslorpc prints, for a topic whose service names contain a
// hash. A server and a client of the topic work, and neither can do what only the other may do.
func TestConsulPolicy(t *testing.T) {
	t.Parallel()
	const topic = "Compute.host_1"
	agent := consultest.Start(t, consultest.ACLs)
	as := func(words ...string) *fleet {
		f := newFleet(t)
		printed := f.ok(append([]string{"consul", "policy"}, words...)...).out
		f.url = agent.URL() + "?consul-token-file=" + agent.TokenFile(t, printed)
		return f
	}
	server, client := as("--serve", topic), as("--call", topic, "--call", "other")
	server.serve("node1", "--topic", topic)
	client.ok("call", topic, "whoami")
	if r := client.run("serve", "--topic", topic, "--server", "impostor"); r.code == 0 {
		t.Error("a client serves the topic")
	}
	if r := server.run("call", "other", "whoami", "--timeout", "100ms"); r.code == 0 || !strings.Contains(r.errs, "oslorpc-openstack-other") {
		t.Errorf("a server may call another topic: exit code %d, %s", r.code, r.errs)
	}
}

// TestConsulPolicyOutput prints policies as JSON, in another exchange, and without a topic.
func TestConsulPolicyOutput(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := parse[consulacl.Document](t, f.ok("consul", "policy", "--serve", "conductor", "--call", "compute", "--exchange", "nova", "--output", "json").out)
	if len(d.Services) != 3 || d.Services[0].Service != "oslorpc-nova-conductor" || !d.Services[0].Write || d.Services[2].Write || !strings.Contains(d.Policy, "node_prefix") {
		t.Errorf("got %+v", d)
	}
	page, err := os.ReadFile("../../docs/discovery.md")
	if err != nil {
		t.Fatal(err)
	}
	if out := f.ok("consul", "policy", "--serve", "conductor", "--call", "compute.host_1").out; !strings.Contains(string(page), out) {
		t.Errorf("docs/discovery.md lacks\n%s", out)
	}
	for _, words := range [][]string{{"consul", "policy"}, {"consul", "policy", "--serve", "a\x01"}} {
		wantCode(t, f.run(words...), 2)
	}
}

// inCatalog waits until the catalog contains a service.
func inCatalog(t *testing.T, agent *consultest.Agent, name string) {
	t.Helper()
	catalog := agent.Client(t, consultest.Token).Catalog()
	eventually(t, patient, "the catalog has "+name, func() bool {
		found, _, err := catalog.Service(name, "", nil)
		return err == nil && len(found) > 0
	})
}

package intruder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These are the template of the fleet and the names of its programs.
const (
	template = "spiffe://cloud/exchange/{exchange}/topic/{topic}/server/{server}"
	clerk    = "spiffe://cloud/user/clerk"
	agent    = "spiffe://cloud/exchange/openstack/topic/printers/server/printer-17"
)

// serverName returns the identity of a server.
func serverName(topic, server string) string {
	return strings.NewReplacer("{exchange}", "openstack", "{topic}", topic, "{server}", server).Replace(template)
}

// policyText returns the policy of the fleet: what printers and clerks may do, among the rules of
// other teams.
func policyText() string {
	var b strings.Builder
	b.WriteString("mode: enforce\nrules:\n")
	for n := range 30 {
		fmt.Fprintf(&b, "  - {name: team %d, from: \"spiffe://cloud/team/%d/**\", topic: team-%d, method: [\"get_*\", put], delivery: [call, cast]}\n", n, n, n)
	}
	b.WriteString(`
  - name: clerks
    from: spiffe://cloud/user/clerk
  - name: clerks look at services
    from: spiffe://cloud/user/clerk
    services: "grpc.*"
  - name: printers ask for quotes
    from: "spiffe://cloud/exchange/openstack/topic/printers/server/*"
    exchange: openstack
    topic: payments
    namespace: ""
    method: [quote, wait]
    delivery: call
  - name: printers report
    from: "spiffe://cloud/exchange/openstack/topic/printers/server/*"
    exchange: openstack
    topic: payments
    namespace: ""
    method: report
    delivery: cast
  - name: printers read volumes
    from: "spiffe://cloud/exchange/openstack/topic/printers/server/*"
    exchange: openstack
    topic: payments
    namespace: volumes
    method: GetVolume
    delivery: call
  - name: hosts
    from: "dns:*.hosts.example"
    topic: payments
  - name: the operator of the machine
    from: "user:0"
  - name: a token
    from: "token:https://issuer.example/robot"
`)
	return b.String()
}

func writePolicy(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(policyText()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

package consul

import (
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

func TestServiceName(t *testing.T) {
	for _, test := range []struct{ exchange, topic, want string }{
		{"openstack", "compute", "oslorpc-openstack-compute"},
		{"openstack", "q-agent-notifier-port-update", "oslorpc-openstack-q-agent-notifier-port-update"},
		{"nova", "-compute", "oslorpc-nova--compute--7db5g2tnpkzn6kpat27b"},
		{"nova", "Compute", "oslorpc-nova-compute--yul3lutyqzmqvde5vstb"},
		{"nova", "COMPUTE", "oslorpc-nova-compute--6jimzi4xcqh6xa2uhwcv"},
		{"nova", "compute.host1", "oslorpc-nova-compute-host1--7ivlh6xdla75vf2e33ll"},
		{"nova", "compute_host1", "oslorpc-nova-compute-host1--q7efkxt6qz7d7ix6txwf"},
		{"nova", "compute-", "oslorpc-nova-compute---2tjcyqewbj3z2r5lae2s"},
		{"nova", "größe", "oslorpc-nova-gr--e--tmwwh444ctqx2ukowkj5"},
		{"a-b", "c", "oslorpc--a-b-c--hdnrkofif6tszgy6juer"},
		{"a", "b-c", "oslorpc-a-b-c"},
		{"", "compute", "oslorpc---compute--druvqb4mykug7d3cvfil"},
		{"", "", "oslorpc-----xj3iwmy73bwozab34bhf"},
		{"process", "x", "oslorpc-process-x"},
		{"process", "process", "oslorpc-process-process"},
		{"nova", "compute--process", "oslorpc-nova-compute--process--r3cdej4d5gvq7jqydyhc"},
		{"nova", strings.Repeat("x", 41), "oslorpc-nova-" + strings.Repeat("x", 41)},
		{"nova", strings.Repeat("x", 42), "oslorpc-nova-" + strings.Repeat("x", 19) + "--ufox4kt3gczy7wgmuwt5"},
		{strings.Repeat("x", 23), "compute_", "oslorpc-" + strings.Repeat("x", 23) + "---xed4sm3ioalw5o3uckip"},
		{strings.Repeat("x", 24), "compute", "oslorpc--" + strings.Repeat("x", 23) + "--7jpnv2vsbbjatjchpio7"},
	} {
		if got := serviceName(registry.Topic{Exchange: test.exchange, Name: test.topic}); got != test.want {
			t.Errorf("serviceName(%q, %q) = %q, want %q", test.exchange, test.topic, got, test.want)
		}
	}
}

var dnsName = regexp.MustCompile(`^oslorpc-[a-z0-9-]*[a-z0-9]$`)

func FuzzServiceName(f *testing.F) {
	f.Add("openstack", "compute", "a-b", "c")
	f.Add("a-b", "c", "a", "b-c")
	f.Add("nova", "Compute", "nova", "compute")
	f.Add("", "process", "", "")
	f.Add("\xff", "ß", "ſ", "K")
	f.Fuzz(func(t *testing.T, exchangeA, topicA, exchangeB, topicB string) {
		a, b := registry.Topic{Exchange: exchangeA, Name: topicA}, registry.Topic{Exchange: exchangeB, Name: topicB}
		nameA, nameB := serviceName(a), serviceName(b)
		for _, name := range []string{nameA, nameB} {
			if len(name) > 63 || !dnsName.MatchString(name) || isProcess(name) || len(name+processMark) > 63 {
				t.Errorf("%q is not a name for a topic", name)
			}
		}
		// A name with a hash could also be registered directly, but not by chance.
		if nameA == nameB && a != b {
			t.Errorf("%+v and %+v are both called %q", a, b, nameA)
		}
	})
}

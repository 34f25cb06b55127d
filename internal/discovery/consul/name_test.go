package consul

import (
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/discovery"
)

func TestServiceName(t *testing.T) {
	for _, test := range []struct{ exchange, topic, want string }{
		{"openstack", "compute", "oslorpc-openstack-compute"},
		{"openstack", "q-agent-notifier-port-update", "oslorpc-openstack-q-agent-notifier-port-update"},
		{"nova", "-compute", "oslorpc-nova--compute"},
		{"nova", "Compute", "oslorpc-nova-compute-602598c8"},
		{"nova", "COMPUTE", "oslorpc-nova-compute-c22f83c2"},
		{"nova", "compute.host1", "oslorpc-nova-compute-host1-4b39417b"},
		{"nova", "compute_host1", "oslorpc-nova-compute-host1-830b3ccd"},
		{"nova", "compute-", "oslorpc-nova-compute-8855a115"},
		{"nova", "größe", "oslorpc-nova-gr--e-02d0a645"},
		{"a-b", "c", "oslorpc-a-b-c-695274f6"},
		{"a", "b-c", "oslorpc-a-b-c"},
		{"", "compute", "oslorpc--compute-8401feee"},
		{"", "", "oslorpc--6e340b9c"},
		{"process", "x", "oslorpc-process-x"},
		{"nova", strings.Repeat("x", 50), "oslorpc-nova-" + strings.Repeat("x", 50)},
		{"nova", strings.Repeat("x", 51), "oslorpc-nova-" + strings.Repeat("x", 41) + "-24a98df3"},
	} {
		if got := serviceName(discovery.Topic{Exchange: test.exchange, Name: test.topic}); got != test.want {
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
		a, b := discovery.Topic{Exchange: exchangeA, Name: topicA}, discovery.Topic{Exchange: exchangeB, Name: topicB}
		nameA, nameB := serviceName(a), serviceName(b)
		for _, name := range []string{nameA, nameB} {
			if len(name) > 63 || !dnsName.MatchString(name) || name == processName {
				t.Errorf("%q is not a name for a topic", name)
			}
		}
		// A name with a hash could also be given, but nobody hits that by chance.
		if nameA == nameB && a != b {
			t.Errorf("%+v and %+v are both called %q", a, b, nameA)
		}
	})
}

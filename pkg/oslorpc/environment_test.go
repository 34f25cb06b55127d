package oslorpc_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestDefaultExchange(t *testing.T) {
	for _, test := range []struct{ url, option, variable, want string }{
		{"memory://x", "", "", "openstack"},
		{"memory://x", "", "v", "v"},
		{"memory://x", "o", "v", "o"},
		{"memory://x?exchange=u", "o", "v", "u"},
		{"memory://x?exchange=n%20%C3%A9", "", "", "n é"},
		{"static://t=h:1?exchange=u", "", "", "u"},
		{"consul://h?dc=a&exchange=u&ttl=2s", "", "", "u"},
		{"local://DIR?exchange=a%2Fb", "", "", "a/b"},
	} {
		t.Setenv(oslorpc.ExchangeVariable, test.variable)
		url := strings.Replace(test.url, "DIR", filepath.Join(t.TempDir(), "registry"), 1)
		if got := openAt(t, url, oslorpc.WithDefaultExchange(test.option)).DefaultExchange(); got != test.want {
			t.Errorf("%+v: the default exchange is %q", test, got)
		}
	}
}

// Static addresses without an exchange belong to the default exchange, which messages without an
// exchange use.
func TestStaticAddressesAreInTheDefaultExchange(t *testing.T) {
	transport := openAt(t, "static://t=h:1", oslorpc.WithDefaultExchange("o"))
	list, err := transport.Instances(t.Context())
	if err != nil || len(list) != 1 || list[0].Exchange != "o" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWrongExchange(t *testing.T) {
	t.Setenv(oslorpc.ExchangeVariable, "")
	for query, want := range map[string]string{
		"exchange=": "with a value", "exchange": "with a value", "exchange=a&exchange=b": "once", "exchange=%zz": "%zz",
		"exchange=%00": "control", "exchange=%ff": "UTF-8", "exchange=a&x=y": "nothing but",
	} {
		_, err := oslorpc.Open("memory://x?" + query)
		wantKind(t, err, oslorpc.Invalid, true)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", query, err, want)
		}
	}
	t.Setenv(oslorpc.ExchangeVariable, "a\nb")
	_, err := oslorpc.Open("memory://x")
	wantKind(t, err, oslorpc.Invalid, true)
}

// Blanks around the values of variables and around URLs are ignored.
func TestBlanksInVariables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "registry")
	for _, test := range []struct{ url, urlVariable, exchangeVariable, want string }{
		{"", "memory://blanks?exchange=v \n", "", "v"},
		{"", "\tmemory://blanks ", " e\r\n", "e"},
		{"", "local://" + dir + " \n", "", "openstack"},
		{" memory://blanks?exchange=u\n", "", "v", "u"},
		{" ", "memory://blanks", "\n", "openstack"},
	} {
		t.Setenv(oslorpc.TransportURLVariable, test.urlVariable)
		t.Setenv(oslorpc.ExchangeVariable, test.exchangeVariable)
		transport := openAt(t, test.url)
		if got := transport.DefaultExchange(); got != test.want {
			t.Errorf("%+v: the default exchange is %q", test, got)
		}
		if _, err := transport.Instances(t.Context()); err != nil {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if found, err := filepath.Glob(dir + "?*"); err != nil || len(found) != 0 {
		t.Errorf("a directory with blanks in its name was used: %q, %v", found, err)
	}
}

func TestTransportURLVariable(t *testing.T) {
	t.Setenv(oslorpc.TransportURLVariable, "memory://variable?exchange=v")
	if got := openAt(t, "").DefaultExchange(); got != "v" {
		t.Errorf("the URL of the variable was not used: %q", got)
	}
	if got := openAt(t, "memory://x").DefaultExchange(); got != "openstack" {
		t.Errorf("the variable overrides the program's URL: %q", got)
	}
	t.Setenv(oslorpc.TransportURLVariable, "nonsense")
	_, err := oslorpc.Open("")
	wantKind(t, err, oslorpc.Invalid, true)
}

// Errors, and a program that prints its transport, name where servers are looked for.
func TestTransportNamesItsRegistry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "registry")
	for url, want := range map[string]string{
		"local://" + dir: "the directory " + dir, "consul://h:1,g:2?dc=a": "Consul at h:1,g:2", "gateway://h:1,g:2": "the gateway at h:1 or g:2",
		"static://t=h:1": "the addresses in the transport URL", "memory://x": "this process",
	} {
		if got := openAt(t, url).String(); got != want {
			t.Errorf("%s: it is %q, want %q", url, got, want)
		}
	}
}

func openAt(t *testing.T, url string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open(url, options...)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

package identity

import (
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/tlstest"
)

const whole = "spiffe://cloud.example/exchange/{exchange}/topic/{topic}/server/{server}"

func TestNames(t *testing.T) {
	const dns = "dns:{server}.{topic}.fleet.example"
	for _, test := range []struct {
		template string
		server   Server
		want     string // empty if there is none
	}{
		{whole, Server{"openstack", "payments", "p1"}, "spiffe://cloud.example/exchange/openstack/topic/payments/server/p1"},
		{whole, Server{"openstack", "a/b", "p1"}, "spiffe://cloud.example/exchange/openstack/topic/a%2Fb/server/p1"},
		{whole, Server{"o", "payments/server/p1", ".."}, "spiffe://cloud.example/exchange/o/topic/payments%2Fserver%2Fp1/server/%2E%2E"},
		{whole, Server{"o", ".", "a.b"}, "spiffe://cloud.example/exchange/o/topic/%2E/server/a.b"},
		{whole, Server{"o", "a%2Fb", "ü ?#"}, "spiffe://cloud.example/exchange/o/topic/a%252Fb/server/%C3%BC%20%3F%23"},
		{whole, Server{"o", "t", ""}, ""},
		{"spiffe://c/host-{server}/x", Server{"o", "t", "7"}, "spiffe://c/host-7/x"},
		{dns, Server{"o", "payments", "p-1"}, "dns:p-1.payments.fleet.example"},
		{dns, Server{"o", "payments", "p1.payments"}, ""},
		{dns, Server{"o", "payments", "P1"}, ""},
		{dns, Server{"o", "payments", "-p"}, ""},
		{dns, Server{"o", "payments", "p_1"}, ""},
		{dns, Server{"o", "payments", "*"}, ""},
		{dns, Server{"o", "payments", strings.Repeat("a", 64)}, ""},
		{"dns:{server}." + strings.Repeat(strings.Repeat("a", 60)+".", 4) + "x", Server{"o", "t", "abcdefghijk"}, ""},
	} {
		parsed, err := ParseTemplate(test.template)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsed.Name(&test.server); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s for %+v: got %q, %v", test.template, test.server, got, err)
		}
	}
}

func TestWrongTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "must begin with",
		"https://cloud/{server}":           "must begin with",
		"spiffe://cloud":                   "no path",
		"spiffe:///topic/{topic}":          `a segment is ""`,
		"spiffe://{topic}/x":               "trust domain must be fixed",
		"spiffe://cloud/a//{topic}":        `a segment is ""`,
		"spiffe://cloud/../{topic}":        `a segment is ".."`,
		"spiffe://cloud/{topic}/":          `a segment is ""`,
		"spiffe://cloud/{topic}-{server}":  "more than one placeholder",
		"spiffe://cloud/{topic}{server}":   "more than one placeholder",
		"spiffe://cloud/{topic}/x/{topic}": "has {topic} twice",
		"spiffe://cloud/{host}":            "the placeholders are",
		"spiffe://cloud/{topic":            "the placeholders are",
		"spiffe://cloud/topic}/{topic}":    "more than one placeholder",
		"spiffe://cloud/a b/{topic}":       "characters other than",
		"spiffe://cloud/a%2Fb/{topic}":     "characters other than",
		"spiffe://cloud/static":            "must have {server} or {topic}",
		"spiffe://cloud/{exchange}":        "must have {server} or {topic}",
		"dns:{server}..example":            `a segment is ""`,
		"dns:{server}.Example":             "characters other than",
		"dns:*.{topic}":                    "characters other than",
	} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// Different servers have different names, whatever they are called, and no name leaves its place in
// the template.
func FuzzNames(f *testing.F) {
	f.Add("a", "b", "a/b", "")
	f.Add("..", "%2E", "a%2fb", "a/b")
	f.Fuzz(func(t *testing.T, topic, server, otherTopic, otherServer string) {
		for _, text := range []string{whole, "dns:{server}.{topic}.example", "spiffe://c/t-{topic}-t/s-{server}"} {
			parsed, err := ParseTemplate(text)
			if err != nil {
				t.Fatal(err)
			}
			one, other := Server{"o", topic, server}, Server{"o", otherTopic, otherServer}
			a, errA := parsed.Name(&one)
			b, errB := parsed.Name(&other)
			if errA == nil && errB == nil && (a == b) != (one == other) {
				t.Errorf("%+v is %s and %+v is %s", one, a, other, b)
			}
			if errA == nil && strings.Count(a, "/") != strings.Count(text, "/") {
				t.Errorf("%+v is %s", one, a)
			}
		}
	})
}

func TestCheckNamesBoth(t *testing.T) {
	authority := tlstest.New(t)
	printer := authority.Issue(tlstest.Subject{URIs: []string{"spiffe://cloud.example/exchange/o/topic/printers/server/printer-17"}}).Leaf
	slash := authority.Issue(tlstest.Subject{URIs: []string{"spiffe://cloud.example/exchange/o/topic/a%2Fb/server/%2E"}, DNS: []string{"*.payments.example"}}).Leaf
	spiffe, _ := ParseTemplate(whole)
	dns, _ := ParseTemplate("dns:{server}.{topic}.example")
	if err := spiffe.Check(&Server{"o", "printers", "printer-17"}, printer); err != nil {
		t.Error(err)
	}
	if err := spiffe.Check(&Server{"o", "a/b", "."}, slash); err != nil {
		t.Error(err)
	}
	const want = "must prove spiffe://cloud.example/exchange/o/topic/payments/server/p1; " +
		"it proved spiffe://cloud.example/exchange/o/topic/printers/server/printer-17"
	if err := spiffe.Check(&Server{"o", "payments", "p1"}, printer); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := dns.Check(&Server{"o", "payments", "p1"}, slash); err == nil {
		t.Error("a wildcard stands for every server")
	}
	if err := dns.Check(&Server{"o", "payments", "p1"}, nil); err == nil || !strings.Contains(err.Error(), "it proved nothing") {
		t.Errorf("got %v", err)
	}
}

package workload

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/internal/workloadtest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const patience = 20 * time.Second

// log is the log of a source.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never holds that %s", what)
		}
	}
}

// svid returns a certificate with a SPIFFE ID.
func svid(a *tlstest.Authority, id string, dns ...string) *tlstest.Certificate {
	return a.Issue(tlstest.Subject{URIs: []string{id}, DNS: dns})
}

// open opens a source that retries soon.
func open(t *testing.T, api *workloadtest.API, domains ...string) (*Source, *log) {
	t.Helper()
	l := &log{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := Open(ctx, Config{Address: api.Address, Domains: domains, Log: slog.New(slog.NewTextHandler(l, nil)), retry: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, l
}

func authorities(list ...*tlstest.Authority) []*tlstest.Authority { return list }

// accepts returns an error unless material verifies a certificate.
func accepts(m *trust.Material, c *tlstest.Certificate) error {
	_, err := m.Verify([]*x509.Certificate{c.Leaf}, x509.ExtKeyUsageServerAuth)
	return err
}

// A source follows the certificates and the authorities of the API.
func TestSourceFollows(t *testing.T) {
	api, first, second := workloadtest.New(t), tlstest.New(t), tlstest.New(t)
	const id = "spiffe://example.org/a"
	one, two := svid(first, id), svid(second, id)
	api.Give(one, authorities(first), nil)
	s, l := open(t, api)
	before := s.Material()
	if !before.Certificate.Leaf.Equal(one.Leaf) || accepts(before, one) != nil || accepts(before, two) == nil {
		t.Fatalf("the source has %v", before.Certificate.Leaf.URIs)
	}
	if s.Material() != before {
		t.Error("it is another without a change")
	}
	api.Give(one, authorities(first, second), nil)
	await(t, "both authorities are trusted", func() bool { return accepts(s.Material(), two) == nil })
	if accepts(s.Material(), one) != nil || accepts(before, two) == nil {
		t.Error("the first authority is not trusted, or what was given before changed")
	}
	api.Give(two, authorities(second), nil)
	await(t, "the new certificate is used", func() bool { return s.Material().Certificate.Leaf.Equal(two.Leaf) })
	if accepts(s.Material(), one) == nil {
		t.Error("the authority that is gone is trusted")
	}
	await(t, "the log has a line of each certificate", func() bool { return strings.Count(l.String(), "gave a certificate") == 2 })
}

// While the API is away, or denies the program a certificate, the last certificate stays in use.
// The log says so once.
func TestSourceKeeps(t *testing.T) {
	for name, test := range map[string]struct {
		leave, back func(*workloadtest.API)
		says        string
	}{
		"away":    {(*workloadtest.API).Stop, (*workloadtest.API).Start, "the Workload API is away"},
		"revoked": {func(a *workloadtest.API) { a.Deny(codes.PermissionDenied) }, nil, "is it still registered?"},
		"a code after which the library gives up": {func(a *workloadtest.API) { a.Deny(codes.InvalidArgument) }, nil, "the Workload API is away"},
	} {
		t.Run(name, func(t *testing.T) {
			api, a := workloadtest.New(t), tlstest.New(t)
			one, two := svid(a, "spiffe://example.org/a"), svid(a, "spiffe://example.org/a")
			api.Give(one, authorities(a), nil)
			s, l := open(t, api)
			asked := api.Asked()
			test.leave(api)
			await(t, "the log says it", func() bool { return strings.Contains(l.String(), test.says) })
			if test.back != nil {
				test.back(api)
			} else {
				await(t, "the source asks again", func() bool { return api.Asked() > asked+3 })
			}
			if m := s.Material(); !m.Certificate.Leaf.Equal(one.Leaf) || accepts(m, one) != nil {
				t.Error("the source lost what it had")
			}
			api.Give(two, authorities(a), nil)
			await(t, "the new certificate is used", func() bool { return s.Material().Certificate.Leaf.Equal(two.Leaf) })
			if n := strings.Count(l.String(), "level=ERROR"); n != 1 {
				t.Errorf("the log has %d errors: %s", n, l)
			}
		})
	}
}

// An unusable response changes nothing.
func TestSourceRefusesWhatIsBroken(t *testing.T) {
	api, a := workloadtest.New(t), tlstest.New(t)
	one := svid(a, "spiffe://example.org/a")
	api.Give(one, authorities(a), nil)
	s, l := open(t, api)
	before := s.Material()
	api.Give(svid(a, "spiffe://example.org/a"), nil, nil)
	await(t, "the log says it", func() bool { return strings.Contains(l.String(), "level=ERROR") })
	if s.Material() != before {
		t.Error("the source took it")
	}
}

// Each trust domain can certify only its own programs, and only listed domains are accepted.
func TestTrustDomains(t *testing.T) {
	api, own, other, third := workloadtest.New(t), tlstest.New(t), tlstest.New(t), tlstest.New(t)
	api.Give(svid(own, "spiffe://example.org/a"), authorities(own), map[string]*tlstest.Authority{"partner.example": other, "third.example": third})
	alone, _ := open(t, api)
	both, l := open(t, api, "partner.example", "absent.example")
	for name, test := range map[string]struct {
		sent        *tlstest.Certificate
		alone, both string // what the error says; empty for none
	}{
		"own":                          {svid(own, "spiffe://example.org/b", "db.example"), "", ""},
		"other":                        {svid(other, "spiffe://partner.example/b"), "this program trusts example.org:", ""},
		"not listed":                   {svid(third, "spiffe://third.example/b"), "workload.Config.Domains", "this program trusts example.org, partner.example:"},
		"without authorities":          {svid(third, "spiffe://absent.example/b"), "absent.example", "absent.example"},
		"own, by the other":            {svid(other, "spiffe://example.org/a"), "unknown authority", "unknown authority"},
		"other, by own":                {svid(own, "spiffe://partner.example/a"), "this program trusts", "unknown authority"},
		"other with a DNS name":        {svid(other, "spiffe://partner.example/b", "db.example"), "this program trusts", "names beside its SPIFFE ID"},
		"other with an address":        {other.Issue(tlstest.Subject{URIs: []string{"spiffe://partner.example/b"}, IPs: []net.IP{net.IPv6loopback}}), "this program trusts", "names beside its SPIFFE ID"},
		"no SPIFFE ID":                 {own.Local("db.example"), "has no SPIFFE ID", "has no SPIFFE ID"},
		"two IDs":                      {own.Issue(tlstest.Subject{URIs: []string{"spiffe://example.org/a", "spiffe://partner.example/a"}}), "SPIFFE ID", "SPIFFE ID"},
		"another URI":                  {svid(own, "https://example.org/a"), "SPIFFE ID", "SPIFFE ID"},
		"expired":                      {own.Issue(tlstest.Subject{URIs: []string{"spiffe://example.org/a"}, NotAfter: time.Now().Add(-time.Minute)}), "expired", "expired"},
		"own, of an unknown authority": {svid(third, "spiffe://example.org/a"), "unknown authority", "unknown authority"},
	} {
		for s, want := range map[*Source]string{alone: test.alone, both: test.both} {
			if err := accepts(s.Material(), test.sent); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
	if text := l.String(); strings.Count(text, "no authorities for a trust domain") != 1 || !strings.Contains(text, "trust_domain=absent.example") {
		t.Errorf("the log is %s", text)
	}
}

// A configuration that cannot work is refused with an explanation.
func TestOpenFails(t *testing.T) {
	t.Setenv(workloadapi.SocketEnv, "")
	api := workloadtest.New(t) // it denies
	gone := workloadtest.New(t)
	gone.Stop()
	for name, test := range map[string]struct {
		config Config
		kind   rpc.Kind
		says   string
	}{
		"no address":     {Config{}, rpc.Invalid, "SPIFFE_ENDPOINT_SOCKET"},
		"another form":   {Config{Address: "/run/spire/agent.sock"}, rpc.Invalid, "unix:///run/spire/agent.sock"},
		"no domain":      {Config{Address: api.Address, Domains: []string{"a b"}}, rpc.Invalid, `"a b" is not a trust domain`},
		"not registered": {Config{Address: api.Address}, rpc.Unreachable, "gave no certificate in time: no identity issued: check that its agent runs"},
		"no agent":       {Config{Address: gone.Address}, rpc.Unreachable, "the Workload API at " + gone.Address + " gave no certificate in time: cannot connect: "},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			test.config.Log = slog.New(slog.DiscardHandler)
			if _, err := Open(ctx, test.config); rpc.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %s: %v", rpc.KindOf(err).Name(), err)
			}
		})
	}
	gone.Start()
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Config{
		"auto":              {},
		"unix:///run/a":     {Address: "unix:///run/a"},
		"tcp://127.0.0.1:1": {Address: "tcp://127.0.0.1:1"},
		"unix:///a?trust-domain=b.example&trust-domain=c.example": {Address: "unix:///a", Domains: []string{"b.example", "c.example"}},
		"auto?trust-domain=b.example":                             {Domains: []string{"b.example"}},
	} {
		if got, err := parse(text); err != nil || got.Address != want.Address || strings.Join(got.Domains, " ") != strings.Join(want.Domains, " ") {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"unix:///a?domain=b", "unix:///a?%"} {
		if c, err := parse(text); rpc.KindOf(err) != rpc.Invalid {
			t.Errorf("%s: got %+v, %v", text, c, err)
		}
	}
}

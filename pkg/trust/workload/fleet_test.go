package workload_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/internal/workloadtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
	"github.com/oslorpc/oslorpc/pkg/trust/workload"
)

const (
	template = "spiffe://example.org/exchange/{exchange}/topic/{topic}/server/{server}"
	clerk    = "spiffe://example.org/user/clerk"
	patience = 20 * time.Second
)

func serverID(topic, server string) string {
	return "spiffe://example.org/exchange/openstack/topic/" + topic + "/server/" + server
}

// fleet is a set of programs that each have a separate Workload API, as if each ran on a separate
// host.
type fleet struct {
	authority *tlstest.Authority
	log       log // of all programs
	apis      map[string]*workloadtest.API
	given     map[string]*tlstest.Certificate
	sources   map[string]*workload.Source
}

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

func newFleet(t *testing.T) *fleet {
	return &fleet{
		authority: tlstest.New(t), apis: map[string]*workloadtest.API{}, given: map[string]*tlstest.Certificate{}, sources: map[string]*workload.Source{},
	}
}

// api returns an API that returns a certificate with a SPIFFE ID.
func (f *fleet) api(t *testing.T, id string) *workloadtest.API {
	t.Helper()
	if f.apis[id] == nil {
		f.apis[id] = workloadtest.New(t)
		f.give(id, f.authority)
	}
	return f.apis[id]
}

// give gives a program a new certificate. The first of the authorities issues it, and the program
// trusts all of them.
func (f *fleet) give(id string, authorities ...*tlstest.Authority) {
	f.given[id] = authorities[0].Issue(tlstest.Subject{URIs: []string{id}})
	f.apis[id].Give(f.given[id], authorities, nil)
}

// used reports whether a program uses the last certificate that it got.
func (f *fleet) used(id string) bool {
	return f.sources[id].Material().Certificate.Leaf.Equal(f.given[id].Leaf)
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never holds that %s", what)
		}
	}
}

// source opens a source for a program.
func (f *fleet) source(t *testing.T, id string, domains ...string) *workload.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := workload.Open(ctx, workload.Config{Address: f.api(t, id).Address, Domains: domains, Log: slog.New(slog.NewTextHandler(&f.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f.sources[id] = s
	return s
}

// open opens a transport.
func (f *fleet) open(t *testing.T, c trust.Config, parameters ...string) *oslorpc.Transport {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	transport, err := oslorpc.Open("memory://"+name+strings.Join(parameters, ""), oslorpc.WithTrust(c), oslorpc.WithStopGrace(0),
		oslorpc.WithLogger(slog.New(slog.NewTextHandler(&f.log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

// serve starts a server of a program and counts its calls.
func (f *fleet) serve(t *testing.T, id, topic, server string, domains ...string) *atomic.Int64 {
	t.Helper()
	calls := &atomic.Int64{}
	s := f.open(t, trust.Config{Source: f.source(t, id, domains...), Grace: time.Second}).Server(oslorpc.Target{Topic: topic, Server: server})
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"whoami": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
		calls.Add(1)
		return oslorpc.MessageFrom(ctx).Peer.Identity.Key(), nil
	})}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return calls
}

// client returns a client of a topic.
func (f *fleet) client(t *testing.T, c trust.Config, topic string) *oslorpc.Client {
	t.Helper()
	c.Grace = time.Second
	return f.open(t, c).Client(oslorpc.Target{Topic: topic}, oslorpc.WithTimeout(patience))
}

func whoami(t *testing.T, c *oslorpc.Client) (string, error) {
	t.Helper()
	return oslorpc.Call[string](t.Context(), c, "whoami", nil)
}

func wantClerk(t *testing.T, c *oslorpc.Client) {
	t.Helper()
	if got, err := whoami(t, c); err != nil || got != clerk {
		t.Errorf("got %q, %v", got, err)
	}
}

// Both ends prove their identities by the Workload API. An impostor with a separate, valid
// certificate receives nothing.
func TestImpostorWithWorkloadAPI(t *testing.T) {
	f := newFleet(t)
	right := f.serve(t, serverID("payments", "p1"), "payments", "p1")
	wrong := f.serve(t, serverID("printers", "printer-17"), "payments", "p2")
	c := f.client(t, trust.Config{Source: f.source(t, clerk), Identity: template}, "payments")
	for range 10 {
		wantClerk(t, c)
	}
	_, err := whoami(t, c.Prepare(oslorpc.WithServer("p2")))
	says := "must prove " + serverID("payments", "p2") + "; it proved " + serverID("printers", "printer-17")
	if rpc.KindOf(err) != rpc.Untrusted || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %s: %v", rpc.KindOf(err).Name(), err)
	}
	if right.Load() != 10 || wrong.Load() != 0 {
		t.Errorf("the server got %d calls, and the impostor %d", right.Load(), wrong.Load())
	}
	// Without a template, the host in the address is the expected name, and no SPIFFE certificate
	// contains it.
	_, err = whoami(t, f.client(t, trust.Config{Source: f.source(t, clerk)}, "payments"))
	if rpc.KindOf(err) != rpc.Untrusted || !strings.Contains(err.Error(), "and \"127.0.0.1\" is expected") {
		t.Errorf("got %s: %v", rpc.KindOf(err).Name(), err)
	}
}

// callSome makes calls. None may fail.
func callSome(t *testing.T, c *oslorpc.Client, calls *atomic.Int64) {
	t.Helper()
	for range 20 {
		wantClerk(t, c)
		calls.Add(1)
	}
}

// No call fails while certificates are replaced again and again, and while one authority replaces
// another. Afterwards, certificates of the old authority prove nothing, not even on open
// connections.
func TestRotationWithWorkloadAPI(t *testing.T) {
	f := newFleet(t)
	p1 := serverID("payments", "p1")
	f.serve(t, p1, "payments", "p1")
	config := trust.Config{Source: f.source(t, clerk), Identity: template}
	c := f.client(t, config, "payments")
	const thief = "spiffe://example.org/user/thief"
	stolen := f.client(t, trust.Config{Source: f.source(t, thief), Identity: template}, "payments")
	if _, err := whoami(t, stolen); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var calls atomic.Int64
	for n := range 16 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if n%4 > 0 {
					callSome(t, c, &calls)
					continue
				}
				transport := f.open(t, config) // over new connections
				callSome(t, transport.Client(oslorpc.Target{Topic: "payments"}, oslorpc.WithTimeout(patience)), &calls)
				_ = transport.Close()
			}
		})
	}
	old, next := f.authority, tlstest.New(t)
	for _, authorities := range [][]*tlstest.Authority{{old}, {old}, {old, next}, {next, old}, {next, old}, {next}, {next}} {
		f.give(p1, authorities...)
		f.give(clerk, authorities...)
		f.give(thief, old, next)
		before := calls.Load()
		await(t, "calls go on with the new certificates", func() bool { return f.used(p1) && f.used(clerk) && calls.Load() > before+200 })
	}
	await(t, "a certificate of the old authority proves nothing", func() bool {
		_, err := whoami(t, stolen)
		return rpc.KindOf(err) == rpc.Untrusted
	})
	stop()
	callers.Wait()
}

// A fleet continues to work while its Workload APIs are away, also with new connections. When the
// APIs are back, the fleet uses what they return.
func TestFleetWithoutWorkloadAPI(t *testing.T) {
	f := newFleet(t)
	p1 := serverID("payments", "p1")
	f.serve(t, p1, "payments", "p1")
	config := trust.Config{Source: f.source(t, clerk), Identity: template}
	wantClerk(t, f.client(t, config, "payments"))
	f.apis[p1].Stop()
	f.apis[clerk].Deny(codes.PermissionDenied)
	wantClerk(t, f.client(t, config, "payments"))
	f.apis[p1].Start()
	next := tlstest.New(t)
	f.give(p1, next, f.authority)
	f.give(clerk, next)
	await(t, "the programs have what the APIs gave", func() bool { return f.used(p1) && f.used(clerk) })
	wantClerk(t, f.client(t, config, "payments"))
}

// A program of another trust domain is refused with the reason, unless both sides name each other.
func TestFederatedFleet(t *testing.T) {
	f, partner := newFleet(t), tlstest.New(t)
	p1 := serverID("payments", "p1")
	const foreign = "spiffe://partner.example/user/ann"
	f.apis[foreign] = workloadtest.New(t)
	f.apis[foreign].Give(partner.Issue(tlstest.Subject{URIs: []string{foreign}}), []*tlstest.Authority{partner},
		map[string]*tlstest.Authority{"example.org": f.authority})
	f.serve(t, p1, "payments", "p1")
	knows := trust.Config{Source: f.source(t, foreign, "example.org"), Identity: template}
	if _, err := whoami(t, f.client(t, knows, "payments")); rpc.KindOf(err) != rpc.Untrusted || !strings.Contains(err.Error(), "refused the certificate of this client") {
		t.Errorf("got %s: %v", rpc.KindOf(err).Name(), err)
	}
	if text := f.log.String(); !strings.Contains(text, "is of the trust domain partner.example, and this program trusts example.org") {
		t.Errorf("the server does not say why: %s", text)
	}
	if _, err := whoami(t, f.client(t, trust.Config{Source: f.source(t, foreign), Identity: template}, "payments")); rpc.KindOf(err) != rpc.Untrusted ||
		!strings.Contains(err.Error(), "is of the trust domain example.org, and this program trusts partner.example") {
		t.Errorf("got %s: %v", rpc.KindOf(err).Name(), err)
	}

	p2 := serverID("refunds", "p2")
	f.apis[p2] = workloadtest.New(t)
	f.apis[p2].Give(f.authority.Issue(tlstest.Subject{URIs: []string{p2}}), []*tlstest.Authority{f.authority}, map[string]*tlstest.Authority{"partner.example": partner})
	f.serve(t, p2, "refunds", "p2", "partner.example")
	if got, err := whoami(t, f.client(t, knows, "refunds")); err != nil || got != foreign {
		t.Errorf("got %q, %v", got, err)
	}
}

// The address of the API can come from the program, the transport URL or the environment.
func TestWorkloadAPIFromOutside(t *testing.T) {
	f := newFleet(t)
	f.serve(t, serverID("payments", "p1"), "payments", "p1")
	address := f.api(t, clerk).Address
	name, parameter := "memory://"+t.Name(), "?workload-api="+url.QueryEscape(address)
	for way, test := range map[string]struct {
		url       string
		config    trust.Config
		variables map[string]string
	}{
		"program":             {name, trust.Config{WorkloadAPI: address}, nil},
		"URL":                 {name + parameter, trust.Config{}, nil},
		"environment":         {name, trust.Config{}, map[string]string{trust.WorkloadAPIVariable: address}},
		"SPIFFE":              {name, trust.Config{WorkloadAPI: "auto"}, map[string]string{"SPIFFE_ENDPOINT_SOCKET": address}},
		"URL over files":      {name + parameter, trust.Config{}, map[string]string{trust.CAVariable: "/none"}},
		"program over others": {name + "?ca=/none", trust.Config{WorkloadAPI: address}, map[string]string{trust.CertVariable: "/none"}},
	} {
		t.Run(way, func(t *testing.T) {
			for name, value := range test.variables {
				t.Setenv(name, value)
			}
			test.config.Identity = template
			transport, err := oslorpc.Open(test.url, oslorpc.WithTrust(test.config), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			defer transport.Close()
			wantClerk(t, transport.Client(oslorpc.Target{Topic: "payments"}, oslorpc.WithTimeout(patience)))
		})
	}
	t.Setenv(trust.CAVariable, "/none")
	t.Setenv(trust.WorkloadAPIVariable, address)
	if _, err := oslorpc.Open(name); rpc.KindOf(err) != rpc.Invalid || !strings.Contains(fmt.Sprint(err), trust.WorkloadAPIVariable) {
		t.Errorf("got %v", err)
	}
}

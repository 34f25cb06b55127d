package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

const domain = "11111111-2222-3333-4444-555555555555.consul"

func idOf(service string) string { return "spiffe://" + domain + "/ns/default/dc/dc1/svc/" + service }

// agent is a fake agent.
type agent struct {
	authority *tlstest.Authority

	mu      sync.Mutex
	away    error // why it gives nothing
	hangs   bool
	denies  map[string]string // reasons, by the SPIFFE ID of the sender
	asked   int               // questions about intentions
	changed chan struct{}
	index   uint64
}

func newAgent(t *testing.T) *agent {
	return &agent{authority: tlstest.New(t), denies: map[string]string{}, changed: make(chan struct{}), index: 1}
}

// set changes the state of the agent.
func (a *agent) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	a.index++
	close(a.changed)
	a.changed = make(chan struct{})
}

// wait waits until the agent's index is larger than index.
func (a *agent) wait(ctx context.Context, index uint64) (uint64, error) {
	for {
		a.mu.Lock()
		now, away, changed := a.index, a.away, a.changed
		a.mu.Unlock()
		if away != nil || now != index {
			return now, away
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (a *agent) Roots(ctx context.Context, index uint64) (Roots, uint64, error) {
	next, err := a.wait(ctx, index)
	if err != nil {
		return Roots{}, 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return Roots{domain, []string{string(a.authority.PEM())}}, next, nil
}

func (a *agent) Leaf(ctx context.Context, service string, index uint64) (Leaf, uint64, error) {
	next, err := a.wait(ctx, index)
	if err != nil {
		return Leaf{}, 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	cert, key := a.authority.Issue(tlstest.Subject{URIs: []string{idOf(service)}}).PEM()
	return Leaf{string(cert), string(key)}, next, nil
}

func (a *agent) Authorize(ctx context.Context, _, uri, _ string) (allowed bool, reason string, err error) {
	a.mu.Lock()
	a.asked++
	away, hangs, reason := a.away, a.hangs, a.denies[uri]
	a.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return false, "", ctx.Err()
	}
	return reason == "" && away == nil, reason, away
}

func (a *agent) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// join returns a member of the mesh, until the test ends.
func (a *agent) join(t *testing.T) *Native {
	t.Helper()
	return a.joinWith(t, Config{Log: slog.New(slog.DiscardHandler)})
}

func (a *agent) joinWith(t *testing.T, c Config) *Native {
	t.Helper()
	n := New(Config{
		Agent: a, Service: "web", Log: c.Log, DryRun: c.DryRun,
		ServiceName: func(t registry.Topic) string { return "oslorpc-" + t.Exchange + "-" + t.Name },
	})
	t.Cleanup(n.Close)
	return n
}

// message returns a message from a service.
func (a *agent) message(service string) *rpc.Message {
	leaf := a.authority.Issue(tlstest.Subject{URIs: []string{idOf(service)}}).Leaf
	return &rpc.Message{
		Target: rpc.Target{Exchange: "e", Topic: "t"}, Method: "m", Delivery: rpc.DeliveryCall,
		Peer: rpc.Peer{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}},
	}
}

func wantError(t *testing.T, err error, kind rpc.Kind, parts ...string) {
	t.Helper()
	if rpc.KindOf(err) != kind || !rpc.SafeToRetry(err) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
}

// A verdict is cached for a second. After that, one request to the agent serves all waiting
// messages.
func TestVerdictsAreKept(t *testing.T) {
	a := newAgent(t)
	m := a.message("cart")
	synctest.Test(t, func(t *testing.T) {
		n := a.join(t)
		for range 10 {
			if _, err := n.accept(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if got := a.questions(); got != 1 {
			t.Errorf("the agent was asked %d times", got)
		}
		a.set(func() { a.denies[idOf("cart")] = "Matched L4 intention: DENY" })
		time.Sleep(verdictTime - 1)
		if _, err := n.accept(t.Context(), m); err != nil {
			t.Error("the verdict was forgotten:", err)
		}
		time.Sleep(1)
		_, err := n.accept(t.Context(), m)
		wantError(t, err, rpc.AccessDenied, `service "cart"`, `topic "t"`, `"oslorpc-e-t"`, "Matched L4 intention: DENY", "consul intention create -allow cart oslorpc-e-t")
	})
}

// While the agent is away, the last verdict stays valid for a while, whatever it is. After that,
// messages are refused, and may go to another server. Without a cached verdict they are refused at
// once.
func TestAgentIsAway(t *testing.T) {
	for name, gone := range map[string]func(a *agent){
		"away":  func(a *agent) { a.away = errors.New("connection refused") },
		"hangs": func(a *agent) { a.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAgent(t)
			allowed, denied, unknown := a.message("cart"), a.message("thief"), a.message("new")
			a.denies[idOf("thief")] = "no"
			synctest.Test(t, func(t *testing.T) {
				n := a.join(t)
				_, err := n.accept(t.Context(), allowed)
				if err != nil {
					t.Fatal(err)
				}
				_, err = n.accept(t.Context(), denied)
				wantError(t, err, rpc.AccessDenied)
				began := time.Now()
				a.set(func() { gone(a) })
				for time.Since(began) < staleTime-askTime-verdictTime {
					time.Sleep(verdictTime)
					before := time.Now()
					if _, err := n.accept(t.Context(), allowed); err != nil {
						t.Fatalf("after %v: %v", time.Since(began), err)
					}
					if _, err = n.accept(t.Context(), denied); !errors.Is(err, rpc.AccessDenied) {
						t.Fatalf("after %v: %v", time.Since(began), err)
					}
					if waited := time.Since(before); time.Since(began) > 4*askTime+verdictTime && waited > 0 {
						t.Fatalf("after %v, messages wait for %v", time.Since(began), waited)
					}
				}
				_, err = n.accept(t.Context(), unknown)
				wantError(t, err, rpc.Refused, "cannot tell")
				time.Sleep(staleTime)
				for _, m := range []*rpc.Message{allowed, denied} {
					_, err = n.accept(t.Context(), m)
					wantError(t, err, rpc.Refused, "cannot tell")
				}
				a.set(func() { a.away, a.hangs = nil, false })
				time.Sleep(verdictTime + askTime)
				if _, err := n.accept(t.Context(), allowed); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// If the sender of a message gives up, the message does not wait for the agent.
func TestSenderGivesUp(t *testing.T) {
	a := newAgent(t)
	m := a.message("cart")
	synctest.Test(t, func(t *testing.T) {
		n := a.join(t)
		a.set(func() { a.hangs = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := n.accept(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// The memory for verdicts is bounded, however many callers there are.
func TestVerdictsAreBounded(t *testing.T) {
	a := newAgent(t)
	c := a.authority.Issue(tlstest.Subject{URIs: []string{idOf("x")}}).Leaf
	v := newVerdicts(a)
	for i := range 2 * maxVerdicts {
		if _, err := v.of(t.Context(), question{uri: strconv.Itoa(i)}, c); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.known) > maxVerdicts {
		t.Errorf("it knows %d verdicts", len(v.known))
	}
}

// A sender that proved no service of the mesh is denied. Every service may ping an instance.
func TestSendersProveAService(t *testing.T) {
	a := newAgent(t)
	n := a.join(t)
	m := a.message("cart")
	m.Peer.TLS.VerifiedChains = nil
	_, err := n.accept(t.Context(), m)
	wantError(t, err, rpc.AccessDenied, "connect=native")
	m.Delivery, m.Method = rpc.DeliveryInspect, "Ping"
	if _, err := n.accept(t.Context(), m); err != nil {
		t.Error(err)
	}
	if err := n.Serve(t.Context(), []rpc.Instance{{Exchange: "e", Topic: "t"}, {Exchange: "e", Topic: "u"}}); err != nil {
		t.Fatal(err)
	}
	m.Method, m.Target = "GetInfo", rpc.Target{}
	_, err = n.accept(t.Context(), m)
	wantError(t, err, rpc.AccessDenied)
}

// Only certificates of services in this mesh are accepted.
func TestVerify(t *testing.T) {
	a, other := newAgent(t), tlstest.New(t)
	n := a.join(t)
	if err := n.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	agentID := "spiffe://" + domain + "/agent/client/dc/dc1/id/node"
	for says, c := range map[string]*tlstest.Certificate{
		"":                       a.authority.Issue(tlstest.Subject{URIs: []string{idOf("cart")}}),
		"which is not a service": a.authority.Issue(tlstest.Subject{URIs: []string{agentID}}),
		"this mesh is":           a.authority.Issue(tlstest.Subject{URIs: []string{"spiffe://other.consul/ns/default/dc/dc1/svc/cart"}}),
		"or several":             a.authority.Issue(tlstest.Subject{URIs: []string{idOf("cart"), idOf("web")}}),
		"names beside":           a.authority.Issue(tlstest.Subject{URIs: []string{idOf("cart")}, DNS: []string{"cart"}}),
		"no SPIFFE ID":           a.authority.Local("cart"),
		"signed by unknown":      other.Issue(tlstest.Subject{URIs: []string{idOf("cart")}}),
		"certificate has expire": a.authority.Issue(tlstest.Subject{URIs: []string{idOf("cart")}, NotAfter: time.Now().Add(-time.Minute)}),
	} {
		_, err := n.Material().Verify([]*x509.Certificate{c.Leaf}, x509.ExtKeyUsageClientAuth)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v", says, err)
		}
	}
}

// A server must have a certificate for the expected topic in the expected data center.
func TestCheck(t *testing.T) {
	a := newAgent(t)
	n := a.join(t)
	meant := &identity.Server{Exchange: "e", Topic: "t", Name: "s"}
	right := a.authority.Issue(tlstest.Subject{URIs: []string{idOf("oslorpc-e-t")}}).Leaf
	if err := n.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Check(meant, right); err != nil {
		t.Error(err)
	}
	for _, wrong := range []*x509.Certificate{nil, a.authority.Issue(tlstest.Subject{URIs: []string{idOf("web")}}).Leaf, a.authority.Local("a").Leaf} {
		if err := n.Check(meant, wrong); err == nil || !strings.Contains(err.Error(), "must prove "+idOf("oslorpc-e-t")) {
			t.Errorf("got %v", err)
		}
	}
	n.config.Datacenter = "dc2"
	if err := n.Check(meant, right); err == nil || !strings.Contains(err.Error(), "/dc/dc2/svc/oslorpc-e-t") {
		t.Errorf("got %v", err)
	}
}

// A process has a certificate for each topic that it serves, and none for a topic that it no longer
// serves.
func TestCertificates(t *testing.T) {
	a := newAgent(t)
	n := a.join(t)
	serve := func(topics ...string) {
		var list []rpc.Instance
		for _, name := range topics {
			list = append(list, rpc.Instance{Exchange: "e", Topic: name})
		}
		if err := n.Serve(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	want := func(asked, service string) {
		t.Helper()
		if got := serviceIn(n.CertificateFor(asked).Leaf); got != service {
			t.Errorf("%q: got the certificate of %q, want %q", asked, got, service)
		}
	}
	serve("t")
	want("oslorpc-e-t", "oslorpc-e-t")
	want("oslorpc-e-t.default.dc1.internal."+domain, "oslorpc-e-t")
	want("", "oslorpc-e-t")
	want("other", "web")
	serve("t", "u")
	want("oslorpc-e-u", "oslorpc-e-u")
	want("", "web")
	serve("u")
	want("oslorpc-e-t", "web")
}

// New authorities and certificates take effect, for the process itself and for its topics.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, second := newAgent(t), tlstest.New(t)
		n := a.join(t)
		if err := n.Serve(t.Context(), []rpc.Instance{{Exchange: "e", Topic: "t"}}); err != nil {
			t.Fatal(err)
		}
		before, topic := n.Material(), n.CertificateFor("oslorpc-e-t")
		a.set(func() { a.authority = second })
		time.Sleep(2 * servedTime)
		after := n.Material()
		if after == before || after.Certificate.Leaf.Equal(before.Certificate.Leaf) || n.CertificateFor("oslorpc-e-t").Leaf.Equal(topic.Leaf) {
			t.Error("it uses the old certificates")
		}
		if _, err := after.Verify([]*x509.Certificate{n.CertificateFor("oslorpc-e-t").Leaf}, x509.ExtKeyUsageServerAuth); err != nil {
			t.Error(err)
		}
		a.set(func() { a.away = errors.New("gone") })
		time.Sleep(time.Hour)
		if n.Material() != after {
			t.Error("it lost what it had when the agent went away")
		}
	})
}

// The process waits for certificates that the agent delivers late, but not for certificates that it
// refuses.
func TestAwait(t *testing.T) {
	a := newAgent(t)
	synctest.Test(t, func(t *testing.T) {
		a.set(func() { a.away = errors.New("connection refused") })
		n := a.join(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Await(ctx); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(time.Second, func() { a.set(func() { a.away = nil }) })
		if err := n.Await(t.Context()); err != nil {
			t.Error(err)
		}
		a.set(func() { a.away = &rpc.Error{Kind: rpc.Invalid, Message: "no rights", NotStarted: true} })
		refused := a.join(t)
		wantError(t, refused.Await(t.Context()), rpc.Invalid, "no rights")
		wantError(t, refused.Serve(t.Context(), []rpc.Instance{{Topic: "t"}}), rpc.Invalid, "no rights")
	})
}

// Unusable certificates are ignored.
func TestBrokenMaterial(t *testing.T) {
	t.Parallel()
	key := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	for _, r := range []Roots{{}, {TrustDomain: domain}, {domain, []string{""}}, {domain, []string{key}}} {
		if _, err := r.parse(); err == nil {
			t.Errorf("%v is taken", r)
		}
	}
	cert, private := tlstest.New(t).Local("a").PEM()
	for _, l := range []Leaf{{}, {string(cert), ""}, {string(cert), string(private)}} {
		if _, err := l.parse(); err == nil {
			t.Errorf("%v is taken", l)
		}
	}
}
